import { and, asc, desc, eq, gt, isNull, lt, or, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/sqlite-core";
import { type Key, RequestsPerMinute } from "../contract/keys.ts";
import { Scope } from "../contract/scopes.ts";
import type { KnownKey } from "../core/auth.ts";
import type { NewKey, OwnedKey, RotatableKey } from "../core/keys.ts";
import type { DailyBudget } from "../core/principal.ts";
import type { Database } from "./db.ts";
import { keys, projects } from "./schema.ts";

type Row = typeof keys.$inferSelect;

/** Keys on D1: the storage ports of authentication and of the key use cases. */
export function keyStore(db: Database) {
  return {
    /** The key with this digest and its project, in one query of two rows. */
    async findKnownKey(digest: string): Promise<KnownKey | null> {
      const [row] = await db
        .select({ key: keys, project: projects })
        .from(keys)
        .innerJoin(projects, eq(projects.id, keys.projectId))
        .where(eq(keys.digest, digest))
        .limit(1);
      if (!row) return null;
      return {
        principal: {
          projectId: row.key.projectId,
          keyId: row.key.id,
          kind: row.key.kind,
          scopes: knownScopes(row.key.scopes),
          origins: row.key.origins,
          keepContents: row.project.keepContents,
          limits: {
            quotaId: row.key.quotaId,
            requestsPerMinute: knownRate(row.key.requestsPerMinute),
            key: budgetOf(row.key),
            project: budgetOf(row.project),
            projectMaxJobs: row.project.maxJobs,
          },
        },
        digest: row.key.digest,
        expiresAtMs: row.key.expiresAt,
        revokedAtMs: row.key.revokedAt,
      };
    },

    async insertKey(key: NewKey): Promise<void> {
      await db.insert(keys).values(keyRow(key));
    },

    async listKeys(projectId: string, page: { beforeId: string | null; limit: number }): Promise<Key[]> {
      const rows = await db
        .select()
        .from(keys)
        .where(and(eq(keys.projectId, projectId), page.beforeId === null ? undefined : lt(keys.id, page.beforeId)))
        .orderBy(desc(keys.id))
        .limit(page.limit);
      return rows.map(toKey);
    },

    /** A successor lives as long as its predecessor was given, before any rotation shortened that. */
    async findKey(projectId: string, id: string): Promise<RotatableKey | null> {
      const sibling = alias(keys, "sibling");
      const [row] = await db
        .select({ key: keys, sibling })
        .from(keys)
        .leftJoin(sibling, and(eq(sibling.projectId, projectId), eq(sibling.rotatedFrom, keys.id)))
        .where(ownedBy(projectId, id))
        .orderBy(asc(sibling.id))
        .limit(1);
      if (!row) return null;
      const pattern = row.sibling ?? row.key;
      return {
        ...toOwned(row.key),
        lifetimeMs: pattern.expiresAt === null ? null : pattern.expiresAt - pattern.createdAt,
      };
    },

    async rotateKey(successor: NewKey, times: { endsAtMs: number; nowMs: number }): Promise<boolean> {
      const works = and(
        ownedBy(successor.projectId, successor.key.rotatedFrom ?? ""),
        isNull(keys.revokedAt),
        or(isNull(keys.expiresAt), gt(keys.expiresAt, times.nowMs)),
      );
      const row = keyRow(successor);
      // Both statements ask for the same working key and see one state of it: both take effect or neither does.
      const [inserted] = await db.batch([
        db.insert(keys).select(
          db
            .select({
              id: sql`${row.id}`.as("id"),
              projectId: keys.projectId,
              kind: keys.kind,
              name: keys.name,
              digest: sql`${row.digest}`.as("digest"),
              hint: sql`${row.hint}`.as("hint"),
              scopes: keys.scopes,
              origins: keys.origins,
              createdAt: sql`${row.createdAt}`.as("created_at"),
              expiresAt: sql`${row.expiresAt}`.as("expires_at"),
              revokedAt: sql`NULL`.as("revoked_at"),
              rotatedFrom: sql`${row.rotatedFrom}`.as("rotated_from"),
              quotaId: keys.quotaId,
              requestsPerMinute: keys.requestsPerMinute,
              tokensPerDay: keys.tokensPerDay,
              costPerDayMicros: keys.costPerDayMicros,
              costPerDayCurrency: keys.costPerDayCurrency,
            })
            .from(keys)
            .where(works),
        ),
        db
          .update(keys)
          .set({ expiresAt: sql`min(coalesce(${keys.expiresAt}, ${times.endsAtMs}), ${times.endsAtMs})` })
          .where(works),
      ]);
      return inserted.meta.changes === 1;
    },

    async revokeKey(projectId: string, id: string, nowMs: number): Promise<OwnedKey | null> {
      const [row] = await db
        .update(keys)
        .set({ revokedAt: sql`coalesce(${keys.revokedAt}, ${nowMs})` })
        .where(ownedBy(projectId, id))
        .returning();
      return row ? toOwned(row) : null;
    },
  };
}

/** A key as its row, with a quota of its own. */
export function keyRow({ key, digest, projectId }: NewKey): typeof keys.$inferInsert {
  return {
    id: key.id,
    projectId,
    kind: key.kind,
    name: key.name,
    digest,
    hint: key.hint,
    scopes: key.scopes,
    origins: key.origins,
    createdAt: Date.parse(key.createdAt),
    expiresAt: key.expiresAt === null ? null : Date.parse(key.expiresAt),
    revokedAt: key.revokedAt === null ? null : Date.parse(key.revokedAt),
    rotatedFrom: key.rotatedFrom,
    quotaId: key.id,
    requestsPerMinute: key.requestsPerMinute,
    tokensPerDay: key.tokensPerDay,
    costPerDayMicros: key.costPerDay?.micros ?? null,
    costPerDayCurrency: key.costPerDay?.currency ?? null,
  };
}

const ownedBy = (projectId: string, id: string) => and(eq(keys.id, id), eq(keys.projectId, projectId));

function toOwned(row: Row): OwnedKey {
  return { key: toKey(row), digest: row.digest };
}

function toKey(row: Row): Key {
  return {
    id: row.id,
    kind: row.kind,
    name: row.name,
    hint: row.hint,
    scopes: knownScopes(row.scopes),
    origins: row.origins,
    createdAt: iso(row.createdAt),
    expiresAt: row.expiresAt === null ? null : iso(row.expiresAt),
    revokedAt: row.revokedAt === null ? null : iso(row.revokedAt),
    rotatedFrom: row.rotatedFrom,
    requestsPerMinute: knownRate(row.requestsPerMinute),
    tokensPerDay: row.tokensPerDay,
    costPerDay: budgetOf(row)?.cost ?? null,
  };
}

type BudgetColumns = Pick<Row, "tokensPerDay" | "costPerDayMicros" | "costPerDayCurrency">;

/** Null when neither tokens nor cost are bounded. */
export function budgetOf(row: BudgetColumns): DailyBudget | null {
  const { tokensPerDay: tokens, costPerDayMicros: micros, costPerDayCurrency: currency } = row;
  const cost = micros === null || currency === null ? null : { micros, currency };
  return tokens === null && cost === null ? null : { tokens, cost };
}

/** A rate that there is no binding for any more becomes the next lower one: a key's bound must not vanish. */
export function knownRate(stored: number | null): RequestsPerMinute | null {
  if (stored === null) return null;
  const rates = RequestsPerMinute.def.values.toSorted((a, b) => a - b);
  return rates.findLast((rate) => rate <= stored) ?? rates[0] ?? null;
}

/** A scope that a later release knew and this one does not grants nothing here. */
function knownScopes(scopes: readonly string[]): Scope[] {
  return scopes.filter((scope): scope is Scope => Scope.safeParse(scope).success);
}

const iso = (ms: number) => new Date(ms).toISOString();
