import type { Delivery, DeliveryAttempt, DeliveryDetail, DeliveryStatus } from "../contract/deliveries.ts";
import type { WebhookEvent } from "../contract/endpoints.ts";
import { limits } from "../contract/limits.ts";
import type { AfterAttempt } from "../core/deliverySchedule.ts";
import type { DeliveryFilter } from "../core/endpointPorts.ts";
import type { Notice } from "../core/webhookMessages.ts";

type Row = Record<string, SqlStorageValue>;
type DeliveryRow = {
  id: string;
  event: WebhookEvent;
  run: string | null;
  batch: string | null;
  status: DeliveryStatus;
  created_at: number;
  attempts: number;
  next_at: number | null;
  last: string | null;
};

/** A message whose time has come. `tries` counts the attempts of this round. */
export type DueDelivery = { id: string; body: string; tries: number };

const shown = "id, event, run, batch, status, created_at, attempts, next_at, last";

/**
 * An endpoint's messages in its object's SQLite, each with its last attempt, and apart from them the attempts before; an
 * object that never had any has no table. All of it is synchronous, so that looking and writing are one step.
 */
export class DeliveryTable {
  readonly #sql: SqlStorage;
  /** How many there are; null until it matters. */
  #count: number | null = null;
  #made: boolean;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.#made = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'deliveries'").toArray().length > 0;
  }

  /**
   * Takes messages in, to be sent at once; those that are known already stay as they are. Returns how many have made way
   * that were still to be sent.
   */
  accept(notices: readonly Notice[], keptUntilMs: number, nowMs: number): number {
    this.#make();
    for (const { id, event, runId, batchId, body } of notices) {
      const { rowsWritten } = this.#sql.exec(
        `INSERT INTO deliveries (id, event, run, batch, body, status, created_at, kept_until, attempts, tries, next_at)
         VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, 0, 0, ?) ON CONFLICT DO NOTHING`,
        ...[id, event, runId, batchId, body, nowMs, keptUntilMs, nowMs],
      );
      if (rowsWritten > 0) this.#count = this.count + 1;
    }
    return this.#makeRoom();
  }

  /** Those to be sent now, the longest waiting first, without those that are on their way. */
  due(nowMs: number, room: number, underWay: ReadonlySet<string>): DueDelivery[] {
    if (!this.#made || room <= 0) return [];
    return this.#rows<DueDelivery>(
      "SELECT id, body, tries FROM deliveries WHERE next_at <= ? ORDER BY next_at LIMIT ?",
      nowMs,
      room + underWay.size,
    )
      .filter(({ id }) => !underWay.has(id))
      .slice(0, room);
  }

  /** When the next message is to be sent that is not on its way; null: there is none. */
  nextAtMs(underWay: ReadonlySet<string>): number | null {
    if (!this.#made) return null;
    const rows = this.#rows<{ id: string; next_at: number }>(
      "SELECT id, next_at FROM deliveries WHERE next_at IS NOT NULL ORDER BY next_at LIMIT ?",
      underWay.size + 1,
    );
    return rows.find(({ id }) => !underWay.has(id))?.next_at ?? null;
  }

  /** Notes an attempt and what follows it; the one before it makes way. Nothing is written when the message is gone. */
  attempted(id: string, attempt: DeliveryAttempt, after: AfterAttempt): void {
    if (!this.#made) return;
    const status: DeliveryStatus = after.kind === "again" ? "pending" : after.kind;
    const nextAtMs = after.kind === "again" ? after.atMs : null;
    this.#sql.exec(
      "INSERT INTO attempts SELECT id, attempts, last FROM deliveries WHERE id = ? AND last IS NOT NULL",
      id,
    );
    this.#sql.exec(
      "UPDATE deliveries SET status = ?, next_at = ?, last = ?, attempts = attempts + 1, tries = tries + 1 WHERE id = ?",
      ...[status, nextAtMs, JSON.stringify(attempt), id],
    );
    this.#sql.exec(
      "DELETE FROM attempts WHERE delivery = ?1 AND number <= (SELECT attempts FROM deliveries WHERE id = ?1) - ?2",
      ...[id, limits.maxKeptAttempts],
    );
  }

  /** Begins a message's schedule anew, now. */
  replay(id: string, nowMs: number): void {
    if (this.#made)
      this.#sql.exec("UPDATE deliveries SET status = 'pending', tries = 0, next_at = ? WHERE id = ?", nowMs, id);
  }

  /** Newest first. */
  list({ status, runId, beforeId, limit }: DeliveryFilter): Delivery[] {
    if (!this.#made) return [];
    const conditions = [
      ...(status === undefined ? [] : [{ where: "status = ?", value: status }]),
      ...(runId === undefined ? [] : [{ where: "run = ?", value: runId }]),
      ...(beforeId === null ? [] : [{ where: "id < ?", value: beforeId }]),
    ];
    const where = conditions.length === 0 ? "" : `WHERE ${conditions.map((one) => one.where).join(" AND ")}`;
    return this.#rows<DeliveryRow>(
      `SELECT ${shown} FROM deliveries ${where} ORDER BY id DESC LIMIT ?`,
      ...conditions.map(({ value }) => value),
      limit,
    ).map(toDelivery);
  }

  find(id: string): DeliveryDetail | null {
    if (!this.#made) return null;
    const [row] = this.#rows<DeliveryRow & { body: string }>(`SELECT ${shown}, body FROM deliveries WHERE id = ?`, id);
    if (!row) return null;
    const attempts = this.#rows<{ attempt: string }>(
      "SELECT attempt FROM attempts WHERE delivery = ? ORDER BY number",
      id,
    );
    return {
      delivery: toDelivery(row),
      body: row.body,
      attempts: [...attempts.map(({ attempt }) => attempt), ...(row.last === null ? [] : [row.last])].map(
        (attempt) => JSON.parse(attempt) as DeliveryAttempt,
      ),
    };
  }

  countIn(status: DeliveryStatus): number {
    if (!this.#made) return 0;
    return this.#rows<{ n: number }>("SELECT count(*) AS n FROM deliveries WHERE status = ?", status)[0]?.n ?? 0;
  }

  get count(): number {
    this.#count ??= this.#made ? (this.#rows<{ n: number }>("SELECT count(*) AS n FROM deliveries")[0]?.n ?? 0) : 0;
    return this.#count;
  }

  /** Drops what has been kept long enough: what has come to its end and, with `waiting`, what still waits. */
  prune(nowMs: number, waiting: boolean): void {
    if (this.#made)
      this.#drop(`kept_until <= ? ${waiting ? "" : "AND status <> 'pending'"} ORDER BY kept_until LIMIT ?`, [
        nowMs,
        limits.prunedDeliveries,
      ]);
  }

  /** Drops what tells of a run. */
  forgetRun(runId: string): void {
    if (this.#made) this.#drop("run = ?", [runId]);
  }

  /** When there is something to be dropped; null: there are no messages. */
  prunedAtMs(waiting: boolean): number | null {
    if (!this.#made) return null;
    const [row] = this.#rows<{ at: number }>(
      `SELECT kept_until AS at FROM deliveries ${waiting ? "" : "WHERE status <> 'pending'"} ORDER BY kept_until LIMIT 1`,
    );
    return row?.at ?? null;
  }

  /** The object is about to lose everything it holds. */
  clear(): void {
    this.#made = false;
    this.#count = 0;
  }

  /** The oldest make way, those first that have come to their end. Returns how many had not. */
  #makeRoom(): number {
    // Many at a time, as looking for them is a walk through all.
    if (this.count <= limits.maxDeliveries) return 0;
    return this.#drop("true ORDER BY status = 'pending', id LIMIT ?", [limits.prunedDeliveries]);
  }

  /** Returns how many of them were still to be sent. */
  #drop(which: string, bindings: SqlStorageValue[]): number {
    const dropped = this.#rows<{ id: string; status: DeliveryStatus }>(
      `DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE ${which}) RETURNING id, status`,
      ...bindings,
    );
    for (const { id } of dropped) this.#sql.exec("DELETE FROM attempts WHERE delivery = ?", id);
    this.#count = this.count - dropped.length;
    return dropped.filter(({ status }) => status === "pending").length;
  }

  #make(): void {
    if (this.#made) return;
    this.#sql.exec(`
      CREATE TABLE deliveries (
        id TEXT PRIMARY KEY, event TEXT NOT NULL, run TEXT, batch TEXT, body TEXT NOT NULL, status TEXT NOT NULL,
        created_at INTEGER NOT NULL, kept_until INTEGER NOT NULL, attempts INTEGER NOT NULL, tries INTEGER NOT NULL,
        next_at INTEGER, last TEXT);
      CREATE INDEX deliveries_due ON deliveries (next_at) WHERE next_at IS NOT NULL;
      CREATE INDEX deliveries_status ON deliveries (status, id);
      CREATE INDEX deliveries_run ON deliveries (run, id) WHERE run IS NOT NULL;
      CREATE INDEX deliveries_kept ON deliveries (kept_until);
      CREATE TABLE attempts
        (delivery TEXT, number INTEGER, attempt TEXT NOT NULL, PRIMARY KEY (delivery, number)) WITHOUT ROWID`);
    this.#made = true;
  }

  #rows<Found extends Row>(query: string, ...bindings: SqlStorageValue[]): Found[] {
    return this.#sql.exec<Found>(query, ...bindings).toArray();
  }
}

function toDelivery(row: DeliveryRow): Delivery {
  return {
    id: row.id,
    event: row.event,
    runId: row.run,
    batchId: row.batch,
    status: row.status,
    createdAt: iso(row.created_at),
    attempts: row.attempts,
    nextAttemptAt: row.next_at === null ? null : iso(row.next_at),
    lastAttempt: row.last === null ? null : (JSON.parse(row.last) as DeliveryAttempt),
  };
}

const iso = (ms: number) => new Date(ms).toISOString();
