import { and, asc, desc, eq, isNotNull, isNull, lt, ne, notExists, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/sqlite-core";
import type { Upstream } from "../contract/upstreams.ts";
import type { StoredUpstream } from "../core/ownUpstreams.ts";
import type { UpstreamChange } from "../core/upstreamUseCases.ts";
import type { Database } from "./db.ts";
import { upstreams } from "./schema.ts";

type Row = typeof upstreams.$inferSelect;

/** Projects' upstreams on D1, their secrets sealed: the storage ports of routing and of the upstream use cases. */
export function upstreamStore(db: Database) {
  return {
    async findActive(projectId: string): Promise<StoredUpstream[]> {
      const rows = await db
        .select()
        .from(upstreams)
        .where(and(eq(upstreams.projectId, projectId), isNull(upstreams.archivedAt)))
        .orderBy(asc(upstreams.id));
      return rows.map(toStored);
    },

    async findUpstream(projectId: string, id: string): Promise<StoredUpstream | null> {
      const [row] = await db.select().from(upstreams).where(ownedBy(projectId, id)).limit(1);
      return row ? toStored(row) : null;
    },

    async listUpstreams(
      projectId: string,
      { archived, beforeId, limit }: { archived: boolean; beforeId: string | null; limit: number },
    ): Promise<Upstream[]> {
      const rows = await db
        .select()
        .from(upstreams)
        .where(
          and(
            eq(upstreams.projectId, projectId),
            archived ? isNotNull(upstreams.archivedAt) : isNull(upstreams.archivedAt),
            beforeId === null ? undefined : lt(upstreams.id, beforeId),
          ),
        )
        .orderBy(desc(upstreams.id))
        .limit(limit);
      return rows.map(toUpstream);
    },

    async insertUpstream({ projectId, upstream, sealedKey, sealedHeaders }: StoredUpstream): Promise<boolean> {
      const inserted = await db
        .insert(upstreams)
        .values({
          id: upstream.id,
          projectId,
          name: upstream.name,
          baseUrl: upstream.baseUrl,
          sealedKey,
          keyHint: upstream.keyHint,
          sealedHeaders,
          headerNames: upstream.headers,
          models: upstream.models,
          maxJobs: upstream.maxJobs,
          createdAt: Date.parse(upstream.createdAt),
          updatedAt: Date.parse(upstream.updatedAt),
        })
        .onConflictDoNothing()
        .returning({ id: upstreams.id });
      return inserted.length > 0;
    },

    async updateUpstream(
      { projectId, id }: { projectId: string; id: string },
      change: UpstreamChange,
    ): Promise<Upstream | null> {
      const { key, headers, name, baseUrl, models, maxJobs } = change;
      const other = alias(upstreams, "other");
      const namesakes = db
        .select({ one: sql`1` })
        .from(other)
        .where(
          and(eq(other.projectId, projectId), eq(other.name, name ?? ""), ne(other.id, id), isNull(other.archivedAt)),
        );
      const [row] = await db
        .update(upstreams)
        .set({
          updatedAt: change.nowMs,
          ...(name !== undefined && { name }),
          ...(baseUrl !== undefined && { baseUrl }),
          ...(models !== undefined && { models }),
          ...(maxJobs !== undefined && { maxJobs }),
          ...(key !== undefined && { sealedKey: key?.sealed ?? null, keyHint: key?.hint ?? null }),
          ...(headers !== undefined && { sealedHeaders: headers.sealed, headerNames: headers.names }),
        })
        .where(
          and(
            ownedBy(projectId, id),
            isNull(upstreams.archivedAt),
            eq(upstreams.baseUrl, change.whileAt),
            name === undefined ? undefined : notExists(namesakes),
          ),
        )
        .returning();
      return row ? toUpstream(row) : null;
    },

    async archiveUpstream(projectId: string, id: string, nowMs: number): Promise<Upstream | null> {
      const [row] = await db
        .update(upstreams)
        .set({
          archivedAt: sql`coalesce(${upstreams.archivedAt}, ${nowMs})`,
          updatedAt: sql`CASE WHEN ${upstreams.archivedAt} IS NULL THEN ${nowMs} ELSE ${upstreams.updatedAt} END`,
          sealedKey: null,
          keyHint: null,
          sealedHeaders: null,
          headerNames: [],
        })
        .where(ownedBy(projectId, id))
        .returning();
      return row ? toUpstream(row) : null;
    },
  };
}

const ownedBy = (projectId: string, id: string) => and(eq(upstreams.id, id), eq(upstreams.projectId, projectId));

function toStored(row: Row): StoredUpstream {
  const { projectId, sealedKey, sealedHeaders } = row;
  return { projectId, upstream: toUpstream(row), sealedKey, sealedHeaders };
}

function toUpstream(row: Row): Upstream {
  return {
    id: row.id,
    name: row.name,
    baseUrl: row.baseUrl,
    hasKey: row.sealedKey !== null,
    keyHint: row.keyHint,
    headers: row.headerNames,
    models: row.models,
    maxJobs: row.maxJobs,
    createdAt: iso(row.createdAt),
    updatedAt: iso(row.updatedAt),
    archived: row.archivedAt !== null,
  };
}

const iso = (ms: number) => new Date(ms).toISOString();
