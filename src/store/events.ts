import { and, desc, eq, getTableColumns, lt, type SQL, sql } from "drizzle-orm";
import type { TriggerEvent } from "../contract/events.ts";
import type { EventJob, EventStore, HeldEvent, KeptPayload, StoredEvent } from "../core/eventPorts.ts";
import type { Database } from "./db.ts";
import { insertJob } from "./jobs.ts";
import { runStatements, startValues } from "./runWrites.ts";
import { events } from "./triggerSchema.ts";

type Row = typeof events.$inferSelect;

const insertEvent = `INSERT INTO events
  (id, project_id, trigger_id, received_at, status, run_id, sender_id, body_digest, error, content_type, headers, body, expires_at)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`;

const updateEvent = `UPDATE events
  SET status = ?, run_id = ?, error = ?, content_type = ?, headers = ?, body = ?, expires_at = ?
  WHERE id = ? AND project_id = ? AND run_id IS NULL`;

/** The event itself or, where that was not written, the one that it is known as. */
const holder = `SELECT id AS eventId, run_id AS runId, status, 0 AS rank FROM events WHERE id = ?1
  UNION ALL SELECT id, run_id, status, 1 FROM events WHERE trigger_id = ?2 AND sender_id = ?3
  UNION ALL SELECT id, run_id, status, 2 FROM events WHERE trigger_id = ?2 AND body_digest = ?4
  ORDER BY rank LIMIT 1`;

/** Received events on D1. An event and its job are written together, or neither is. */
export function eventStore(db: Database): EventStore & {
  /** Drops payloads whose time is over. */
  pruneEvents: (nowMs: number, limit: number) => Promise<number>;
} {
  const { $client: d1 } = db;

  /** Each takes effect only where the event is on record with this very run. */
  function jobStatements(job: EventJob | null, { eventId, projectId }: { eventId: string; projectId: string }) {
    if (!job) return [];
    const { start, runAtMs, json } = job;
    const row = JSON.stringify([{ ...startValues(start), status: "queued" }]);
    return [
      d1.prepare(runStatements(db).receive).bind(row, eventId),
      d1.prepare(insertJob).bind(null, null, runAtMs, json, start.id, projectId),
    ];
  }

  return {
    async receiveEvent(event) {
      const { id, projectId, triggerId, senderId, bodyDigest, job } = event;
      const [outcome, ...payload] = outcomeValues(event);
      const [runId, error, ...kept] = payload;
      const identity = [runId, senderId, bodyDigest, error];
      const results = await d1.batch<HeldEvent & { rank: number }>([
        d1.prepare(insertEvent).bind(id, projectId, triggerId, event.receivedAtMs, outcome, ...identity, ...kept),
        ...jobStatements(job, { eventId: id, projectId }),
        d1.prepare(holder).bind(id, triggerId, senderId, bodyDigest),
      ]);
      const held = results.at(-1)?.results[0];
      if (!held) throw new Error("an event that was just received is not there");
      const { eventId, runId: heldRunId, status } = held;
      return { eventId, runId: heldRunId, status };
    },

    async settleEvent(projectId, eventId, outcome) {
      await d1.batch([
        d1.prepare(updateEvent).bind(...outcomeValues(outcome), eventId, projectId),
        ...jobStatements(outcome.job, { eventId, projectId }),
      ]);
      return (await find(projectId, eventId))?.event ?? null;
    },

    findEvent: find,

    async listEvents({ projectId, triggerId }, { status, beforeId, limit }) {
      const { body: _, headers: __, ...columns } = getTableColumns(events);
      const rows = await db
        .select({ ...columns, body: sql<string | null>`CASE WHEN ${events.body} IS NULL THEN NULL ELSE '' END` })
        .from(events)
        .where(
          and(
            eq(events.triggerId, triggerId),
            eq(events.projectId, projectId),
            status === undefined ? undefined : eq(events.status, status),
            // Which the index of those that are not accepted asks for.
            status === undefined || status === "accepted" ? undefined : sql`status <> 'accepted'`,
            beforeId === null ? undefined : lt(events.id, beforeId),
          ),
        )
        .orderBy(desc(events.id))
        .limit(limit);
      return rows.map((row) => toEvent({ ...row, headers: null }));
    },

    async pruneEvents(nowMs, limit) {
      const { meta } = await db
        .update(events)
        .set({ body: null, headers: null, contentType: null, expiresAt: null })
        .where(sql`id IN (SELECT id FROM events WHERE expires_at <= ${nowMs} ORDER BY expires_at LIMIT ${limit})`);
      return meta.changes;
    },
  };

  async function find(projectId: string, eventId: string): Promise<StoredEvent | null> {
    const row = await db
      .select()
      .from(events)
      .where(and(eq(events.id, eventId), eq(events.projectId, projectId)))
      .get();
    return row ? { event: toEvent(row), payload: payloadOf(row) } : null;
  }
}

/** The statement by which a deleted run's payload is kept no longer; `run` selects the run where it is deleted. */
export function forgetPayload(db: Database, { projectId, id, run }: { projectId: string; id: string; run: SQL }) {
  return db
    .update(events)
    .set({ body: null, headers: null, contentType: null, expiresAt: null })
    .where(
      sql`id = (SELECT metadata ->> 'event' FROM runs WHERE ${run} AND source = 'webhook')
        AND project_id = ${projectId} AND run_id = ${id}`,
    );
}

type Outcome = Parameters<EventStore["settleEvent"]>[2];

/** In the order of `updateEvent`. */
function outcomeValues({ status, job, error, payload }: Outcome): unknown[] {
  return [
    status,
    job?.start.id ?? null,
    error && JSON.stringify(error),
    payload?.contentType ?? null,
    payload && JSON.stringify(payload.headers),
    payload?.text ?? null,
    payload?.expiresAtMs ?? null,
  ];
}

function payloadOf({ body, contentType, headers, expiresAt }: Row): KeptPayload | null {
  return body === null ? null : { text: body, contentType, headers: headers ?? {}, expiresAtMs: expiresAt };
}

function toEvent(row: Row): TriggerEvent {
  const { id, triggerId, status, runId, senderId, error } = row;
  const receivedAt = new Date(row.receivedAt).toISOString();
  return { id, triggerId, receivedAt, status, runId, senderId, error, hasPayload: row.body !== null };
}
