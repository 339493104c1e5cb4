import { and, desc, eq, isNotNull, isNull, lt, sql } from "drizzle-orm";
import type { Trigger } from "../contract/triggers.ts";
import type { StoredTrigger, TriggerOfProject } from "../core/liveTrigger.ts";
import { pathOf, type TriggerPorts } from "../core/triggers.ts";
import type { Database } from "./db.ts";
import { rowIf } from "./insertIf.ts";
import { budgetOf, knownRate } from "./keys.ts";
import { projects } from "./schema.ts";
import { triggers } from "./triggerSchema.ts";

type Row = typeof triggers.$inferSelect;

type Store = Pick<
  TriggerPorts,
  "insertTrigger" | "listTriggers" | "findTrigger" | "updateTrigger" | "rotateTriggerSecret" | "archiveTrigger"
>;

/** Triggers on D1, their secrets sealed. */
export function triggerStore(db: Database): Store & {
  findActiveTrigger: (id: string) => Promise<TriggerOfProject | null>;
  findTriggerOfProject: (projectId: string, id: string) => Promise<TriggerOfProject | null>;
} {
  async function withProject(condition: ReturnType<typeof and>): Promise<TriggerOfProject | null> {
    const row = await db
      .select({ trigger: triggers, project: projects })
      .from(triggers)
      .innerJoin(projects, eq(projects.id, triggers.projectId))
      .where(condition)
      .get();
    if (!row) return null;
    const { keepContents, retentionDays, maxJobs } = row.project;
    return {
      ...toStored(row.trigger),
      project: { keepContents, retentionDays, maxJobs, budget: budgetOf(row.project) },
    };
  }

  return {
    findActiveTrigger: (id) => withProject(and(eq(triggers.id, id), isNull(triggers.archivedAt))),

    findTriggerOfProject: (projectId, id) => withProject(ownedBy(projectId, id)),

    async insertTrigger({ projectId, trigger, sealedSecret }, most) {
      const { id, scheme, hmac, secretHint } = trigger;
      const times = { createdAt: Date.parse(trigger.createdAt), updatedAt: Date.parse(trigger.updatedAt) };
      const row = { id, projectId, scheme, hmac, secretHint, sealedSecret, ...settingsOf(trigger), ...times };
      const active = and(eq(triggers.projectId, projectId), isNull(triggers.archivedAt));
      const hasRoom = sql`(SELECT count(*) FROM triggers WHERE ${active}) < ${most}`;
      const inserted = await db
        .insert(triggers)
        .select(rowIf(triggers, row, hasRoom))
        .returning({ id: triggers.id });
      return inserted.length > 0;
    },

    async listTriggers(projectId, { archived, beforeId, limit }) {
      const rows = await db
        .select()
        .from(triggers)
        .where(
          and(
            eq(triggers.projectId, projectId),
            archived ? isNotNull(triggers.archivedAt) : isNull(triggers.archivedAt),
            beforeId === null ? undefined : lt(triggers.id, beforeId),
          ),
        )
        .orderBy(desc(triggers.id))
        .limit(limit);
      return rows.map(toTrigger);
    },

    async findTrigger(projectId, id) {
      const row = await db.select().from(triggers).where(ownedBy(projectId, id)).get();
      return row ? toTrigger(row) : null;
    },

    async updateTrigger(projectId, trigger, nowMs) {
      const row = await db
        .update(triggers)
        // Two changes within a millisecond must not count as one.
        .set({ ...settingsOf(trigger), updatedAt: sql`max(${nowMs}, ${triggers.updatedAt} + 1)` })
        .where(
          and(
            ownedBy(projectId, trigger.id),
            isNull(triggers.archivedAt),
            eq(triggers.updatedAt, Date.parse(trigger.updatedAt)),
          ),
        )
        .returning()
        .get();
      return row ? toTrigger(row) : null;
    },

    async rotateTriggerSecret({ projectId, id }, { sealed, hint, previousEndsAtMs, nowMs }) {
      const row = await db
        .update(triggers)
        .set({
          sealedPrevious: sql`${triggers.sealedSecret}`,
          previousEndsAt: previousEndsAtMs,
          sealedSecret: sealed,
          secretHint: hint,
          updatedAt: sql`max(${nowMs}, ${triggers.updatedAt} + 1)`,
        })
        .where(and(ownedBy(projectId, id), isNull(triggers.archivedAt)))
        .returning()
        .get();
      return row ? toTrigger(row) : null;
    },

    async archiveTrigger(projectId, id, nowMs) {
      const row = await db
        .update(triggers)
        .set({
          archivedAt: sql`coalesce(${triggers.archivedAt}, ${nowMs})`,
          updatedAt: sql`CASE WHEN ${triggers.archivedAt} IS NULL THEN ${nowMs} ELSE ${triggers.updatedAt} END`,
          sealedSecret: null,
          sealedPrevious: null,
          previousEndsAt: null,
        })
        .where(ownedBy(projectId, id))
        .returning()
        .get();
      return row ? toTrigger(row) : null;
    },
  };
}

const ownedBy = (projectId: string, id: string) => and(eq(triggers.id, id), eq(triggers.projectId, projectId));

/** What may be changed of a trigger. */
function settingsOf(trigger: Trigger) {
  const { name, template, version, variables, metadata, filter, priority, model, params, respond } = trigger;
  const { eventId, requestsPerMinute, callback } = trigger;
  return {
    name,
    callback,
    template,
    version,
    variables,
    metadata,
    filter,
    priority,
    model,
    params,
    respond,
    eventId,
    requestsPerMinute,
  };
}

function toStored(row: Row): StoredTrigger {
  const { projectId, sealedSecret, sealedPrevious } = row;
  return { projectId, trigger: toTrigger(row), sealedSecret, sealedPrevious };
}

function toTrigger(row: Row): Trigger {
  const { id, name, scheme, hmac, secretHint, template, version, variables, filter, priority, model, params } = row;
  return {
    ...{ id, path: pathOf(id), name, scheme, hmac, secretHint },
    previousSecretUntil: row.previousEndsAt === null ? null : iso(row.previousEndsAt),
    ...{ template, version, variables, filter, priority, model, params },
    metadata: row.metadata,
    callback: row.callback,
    respond: row.respond,
    requestsPerMinute: knownRate(row.requestsPerMinute),
    eventId: row.eventId,
    createdAt: iso(row.createdAt),
    updatedAt: iso(row.updatedAt),
    archived: row.archivedAt !== null,
  };
}

const iso = (ms: number) => new Date(ms).toISOString();
