import { asc, eq, notExists, sql } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import type { Cost } from "../contract/runs.ts";
import type { NewKey, OwnedKey } from "../core/keys.ts";
import { countDay } from "./budgets.ts";
import type { Database } from "./db.ts";
import { keyRow } from "./keys.ts";
import { keys, projects } from "./schema.ts";

export type NewProject = {
  id: string;
  name: string;
  keepContents: boolean;
  /** Null: contents are kept for ever. */
  retentionDays: number | null;
  /** Jobs that may call upstreams at a time; null: the default. */
  maxJobs: number | null;
  createdAtMs: number;
};

/** A project known by its name; `id` and `createdAtMs` count when there is none of that name yet. */
export type NamedProject = Pick<NewProject, "id" | "name" | "createdAtMs"> & {
  /** What is left out stays as it is: in a new project, contents are kept, for ever. */
  settings: {
    keepContents?: boolean | undefined;
    retentionDays?: number | undefined;
    /** Null takes a budget away. */
    tokensPerDay?: number | null | undefined;
    costPerDay?: Cost | null | undefined;
    /** Null: the default. */
    maxJobs?: number | null | undefined;
  };
};

type Query = BatchItem<"sqlite"> & { toSQL: () => { sql: string; params: unknown[] } };

/** Projects on D1. */
export function projectStore(db: Database) {
  return {
    /** A project and the first keys that open it, all or nothing: without a key nobody could ever enter it. */
    async insertProject(project: NewProject, firstKeys: readonly NewKey[]): Promise<void> {
      const { createdAtMs, ...row } = project;
      await db.batch([
        db.insert(projects).values({ ...row, createdAt: createdAtMs }),
        ...firstKeys.map((key) => db.insert(keys).values(keyRow(key))),
      ]);
    },

    /** Makes the project unless it is there, sets its settings and gives it the keys, all or nothing. */
    async openProject(project: NamedProject, newKeys: readonly OwnedKey[]): Promise<void> {
      await db.batch(openProjectQueries(db, project, newKeys));
    },

    /** Replaces the origins of the key with this digest; what isolates remember of it lasts on. */
    async setOrigins(digest: string, origins: readonly string[]): Promise<void> {
      await db
        .update(keys)
        .set({ origins: [...origins] })
        .where(eq(keys.digest, digest));
    },
  };
}

/** What `openProject` runs, in this order: for a database that is reached through a tool that takes SQL as text. */
export function openProjectQueries(
  db: Database,
  { id, name, createdAtMs, settings }: NamedProject,
  newKeys: readonly OwnedKey[],
): [Query, ...Query[]] {
  // The oldest, if several bear the name.
  const named = db
    .select({ id: projects.id })
    .from(projects)
    .where(eq(projects.name, name))
    .orderBy(asc(projects.id))
    .limit(1);
  const insertUnlessThere = db.insert(projects).select(
    db
      .select({
        id: sql`${id}`.as("id"),
        name: sql`${name}`.as("name"),
        keepContents: sql`1`.as("keep_contents"),
        retentionDays: sql`NULL`.as("retention_days"),
        tokensPerDay: sql`NULL`.as("tokens_per_day"),
        costPerDayMicros: sql`NULL`.as("cost_per_day_micros"),
        costPerDayCurrency: sql`NULL`.as("cost_per_day_currency"),
        maxJobs: sql`NULL`.as("max_jobs"),
        createdAt: sql`${createdAtMs}`.as("created_at"),
      })
      .from(sql`(SELECT 1)`)
      .where(notExists(named)),
  );
  const { costPerDay, ...columns } = settings;
  const changed = {
    ...columns,
    ...(costPerDay !== undefined && {
      costPerDayMicros: costPerDay?.micros ?? null,
      costPerDayCurrency: costPerDay?.currency ?? null,
    }),
  };
  const isSet = Object.values(changed).some((value) => value !== undefined);
  const isBudgeted = Boolean(settings.tokensPerDay ?? settings.costPerDay);
  return [
    insertUnlessThere,
    ...(isSet
      ? [
          db
            .update(projects)
            .set(changed)
            .where(eq(projects.id, sql`(${named})`)),
        ]
      : []),
    ...(isBudgeted ? [countDay(db, sql`(${named})`, createdAtMs)] : []),
    ...newKeys.map((key) =>
      db.insert(keys).values({ ...keyRow({ ...key, projectId: "" }), projectId: sql`(${named})` }),
    ),
  ];
}
