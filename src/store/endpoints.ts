import { and, desc, eq, isNotNull, isNull, lt, sql } from "drizzle-orm";
import type { Endpoint } from "../contract/endpoints.ts";
import type { EndpointOwner, EndpointStore, StoredEndpoint } from "../core/endpointPorts.ts";
import type { Database } from "./db.ts";
import { endpoints } from "./endpointSchema.ts";
import { rowIf } from "./insertIf.ts";
import { projects } from "./schema.ts";

type Row = typeof endpoints.$inferSelect;

/** Projects' endpoints on D1, their secrets sealed. */
export function endpointStore(db: Database): EndpointStore {
  return {
    async insertEndpoint({ projectId, endpoint, sealedSecret, ownHost }, most) {
      const row = {
        id: endpoint.id,
        projectId,
        url: endpoint.url,
        ownHost,
        description: endpoint.description,
        events: endpoint.events,
        sealedSecret,
        createdAt: Date.parse(endpoint.createdAt),
        updatedAt: Date.parse(endpoint.updatedAt),
      };
      const active = and(eq(endpoints.projectId, projectId), isNull(endpoints.archivedAt));
      const hasRoom = sql`(SELECT count(*) FROM endpoints WHERE ${active}) < ${most}`;
      const inserted = await db
        .insert(endpoints)
        .select(rowIf(endpoints, row, hasRoom))
        .returning({ id: endpoints.id });
      return inserted.length > 0;
    },

    async listEndpoints(projectId, { archived, beforeId, limit }) {
      const rows = await db
        .select()
        .from(endpoints)
        .where(
          and(
            eq(endpoints.projectId, projectId),
            archived ? isNotNull(endpoints.archivedAt) : isNull(endpoints.archivedAt),
            beforeId === null ? undefined : lt(endpoints.id, beforeId),
          ),
        )
        .orderBy(desc(endpoints.id))
        .limit(limit);
      return rows.map(toEndpoint);
    },

    async findEndpoint(owner) {
      const row = await db.select().from(endpoints).where(ownedBy(owner)).get();
      return row ? toStored(row) : null;
    },

    async updateEndpoint(owner, { nowMs, url, description, events }) {
      const row = await db
        .update(endpoints)
        .set({
          updatedAt: nowMs,
          ...(url && { url: url.href, ownHost: url.ownHost }),
          ...(description !== undefined && { description }),
          ...(events && { events: [...events] }),
        })
        .where(activeOf(owner))
        .returning()
        .get();
      return row ? toEndpoint(row) : null;
    },

    async rotateSecret(owner, { from, to, previousUntilMs, nowMs }) {
      const row = await db
        .update(endpoints)
        .set({ sealedSecret: to, sealedPrevious: from, previousUntil: previousUntilMs, updatedAt: nowMs })
        .where(and(activeOf(owner), eq(endpoints.sealedSecret, from)))
        .returning()
        .get();
      return row ? toEndpoint(row) : null;
    },

    async archiveEndpoint(owner, nowMs) {
      const row = await db
        .update(endpoints)
        .set({
          archivedAt: sql`coalesce(${endpoints.archivedAt}, ${nowMs})`,
          updatedAt: sql`iif(${endpoints.archivedAt} IS NULL, ${nowMs}, ${endpoints.updatedAt})`,
          sealedSecret: null,
          sealedPrevious: null,
          previousUntil: null,
        })
        .where(ownedBy(owner))
        .returning()
        .get();
      return row ? toEndpoint(row) : null;
    },

    async showDisabled(owner, disabled) {
      await db
        .update(endpoints)
        .set({ disabledReason: disabled?.reason ?? null, disabledAt: disabled?.atMs ?? null })
        .where(activeOf(owner));
    },

    async findListeners(projectId) {
      const rows = await db
        .select({ endpointId: endpoints.id, events: endpoints.events, retentionDays: projects.retentionDays })
        .from(endpoints)
        .innerJoin(projects, eq(projects.id, endpoints.projectId))
        .where(and(eq(endpoints.projectId, projectId), isNull(endpoints.archivedAt)));
      const listeners = rows.map(({ endpointId, events }) => ({ endpointId, events }));
      return { listeners, retentionDays: rows[0]?.retentionDays ?? null };
    },
  };
}

const ownedBy = ({ projectId, endpointId }: EndpointOwner) =>
  and(eq(endpoints.id, endpointId), eq(endpoints.projectId, projectId));

const activeOf = (owner: EndpointOwner) => and(ownedBy(owner), isNull(endpoints.archivedAt));

function toStored(row: Row): StoredEndpoint {
  const { projectId, sealedSecret, sealedPrevious, ownHost } = row;
  return { projectId, endpoint: toEndpoint(row), sealedSecret, sealedPrevious, ownHost };
}

function toEndpoint(row: Row): Endpoint {
  const { disabledReason: reason, disabledAt: at, previousUntil } = row;
  const disabled = reason !== null && at !== null ? { reason, at: iso(at) } : null;
  return {
    id: row.id,
    url: row.url,
    description: row.description,
    events: row.events,
    status: disabled ? "disabled" : "enabled",
    disabled,
    previousSecretUntil: previousUntil === null ? null : iso(previousUntil),
    createdAt: iso(row.createdAt),
    updatedAt: iso(row.updatedAt),
    archived: row.archivedAt !== null,
  };
}

const iso = (ms: number) => new Date(ms).toISOString();
