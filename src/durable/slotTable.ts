import type { Admission, SlotRequest } from "../core/jobSlots.ts";
import {
  type HeldSlot,
  isLeaked,
  nextInTurn,
  offeredSlot,
  Room,
  renewedSlot,
  takenSlot,
  toldSlot,
  type WaitingJob,
} from "../core/slotQueue.ts";

type Row = Record<string, SqlStorageValue>;
type SlotRow = { run: string; upstream: string; lease_until: number; taken: number };
type QueueRow = { run: string; upstream: string; priority: number; accepted_at: number };

/** Stands for the project among the names of upstreams, none of which is empty. */
const projectItself = "";

/**
 * A gate's slots, queue and bounds in its object's SQLite. Slots and bounds, which are few, are remembered as well; the
 * queue is only looked at where a turn comes, by its index. All of it is synchronous, so that looking and writing are
 * one step.
 */
export class SlotTable {
  readonly #sql: SqlStorage;
  readonly #held = new Map<string, HeldSlot>();
  /** Slots whose jobs this instance has not called yet. */
  readonly #uncalled = new Set<string>();
  readonly #upstreamBounds = new Map<string, number | null>();
  #projectBound: { maxJobs: number | null; asOfMs: number } = { maxJobs: null, asOfMs: 0 };

  constructor(sql: SqlStorage, nowMs: number) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS slots
        (run TEXT PRIMARY KEY, upstream TEXT, lease_until INTEGER, taken INTEGER) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS queue
        (run TEXT PRIMARY KEY, upstream TEXT, priority INTEGER, accepted_at INTEGER) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS queue_turns ON queue (upstream, priority DESC, accepted_at, run);
      CREATE TABLE IF NOT EXISTS bounds (upstream TEXT PRIMARY KEY, max_jobs INTEGER, as_of INTEGER) WITHOUT ROWID`);
    this.#load(nowMs);
  }

  /** Gives the run a slot where there is one for it, else a place in the queue. */
  request(runId: string, request: SlotRequest, nowMs: number): Admission {
    this.#setBounds(request);
    // Those who wait go first, should a bound have been raised; it may be this one's turn.
    this.admitWaiting(nowMs);
    if (this.renew(runId, nowMs)) return "admitted";
    const { upstream, priority, acceptedAtMs } = request;
    if (this.#room().for(upstream)) {
      this.#leaveQueue(runId);
      this.#hold(runId, takenSlot(upstream, nowMs));
      return "admitted";
    }
    // Models are routed anew before each request: the upstream may be another one by now.
    this.#sql.exec(
      `INSERT INTO queue VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET upstream = excluded.upstream WHERE upstream <> excluded.upstream`,
      runId,
      upstream,
      priority,
      acceptedAtMs,
    );
    return "waiting";
  }

  /** The run has its slot and needs it further; false when it has none. */
  renew(runId: string, nowMs: number): boolean {
    const slot = this.#held.get(runId);
    if (!slot) return false;
    const renewed = renewedSlot(slot, nowMs);
    if (renewed) this.#hold(runId, renewed);
    return true;
  }

  /**
   * The run's job knows that it has a slot: it has the time of a lease to take it up. Not stored, as the job's own word
   * is about to be; should this instance end before, the job is called again.
   */
  told(runId: string, nowMs: number): void {
    const slot = this.#held.get(runId);
    if (slot && !slot.taken) this.#held.set(runId, toldSlot(slot.upstream, nowMs));
  }

  /** Takes the run's slot away, or its place in the queue. */
  release(runId: string): void {
    if (this.#held.has(runId)) this.#free(runId);
    else this.#leaveQueue(runId);
  }

  /** Those of the runs that have a slot or wait for one. */
  known(runIds: readonly string[]): string[] {
    const held = runIds.filter((runId) => this.#held.has(runId));
    const waiting = this.#rows<{ run: string }>(
      "SELECT run FROM queue WHERE run IN (SELECT value FROM json_each(?))",
      JSON.stringify(runIds),
    );
    return [...held, ...waiting.map(({ run }) => run)];
  }

  /** Takes the run's slot away unless its job has taken it up. */
  withdraw(runId: string): void {
    if (this.#held.get(runId)?.taken === false) this.#free(runId);
  }

  /** Takes away the slots whose leases are over; resolves with their runs. */
  reclaim(nowMs: number): string[] {
    const leaked = [...this.#held].filter(([, slot]) => isLeaked(slot, nowMs)).map(([runId]) => runId);
    for (const runId of leaked) this.#free(runId);
    return leaked;
  }

  /** Gives slots to those whose turn it is, until there is room for none of them. */
  admitWaiting(nowMs: number): void {
    const room = this.#room();
    while (room.any) {
      const next = nextInTurn(this.#firsts(), room);
      if (!next) return;
      const { runId, upstream } = next;
      room.take(upstream);
      this.#leaveQueue(runId);
      this.#hold(runId, offeredSlot(upstream, nowMs));
      this.#uncalled.add(runId);
    }
  }

  /** The runs that have been given a slot and must be told so; each is named once. */
  toCall(): string[] {
    const runIds = [...this.#uncalled];
    this.#uncalled.clear();
    return runIds;
  }

  /** When the first lease is over; null: there is none. */
  firstLeaseEndMs(): number | null {
    let firstMs: number | null = null;
    for (const { leaseUntilMs } of this.#held.values()) firstMs = Math.min(firstMs ?? leaseUntilMs, leaseUntilMs);
    return firstMs;
  }

  #room(): Room {
    return new Room(this.#held.values(), { project: this.#projectBound.maxJobs, upstreams: this.#upstreamBounds });
  }

  /** Who goes first at each upstream that jobs wait for: one index entry each. */
  #firsts(): WaitingJob[] {
    const firsts: WaitingJob[] = [];
    for (let after = ""; ; ) {
      const [row] = this.#rows<QueueRow>(
        `SELECT run, upstream, priority, accepted_at FROM queue WHERE upstream > ?
         ORDER BY upstream, priority DESC, accepted_at, run LIMIT 1`,
        after,
      );
      if (!row) return firsts;
      const { run: runId, upstream, priority, accepted_at: acceptedAtMs } = row;
      firsts.push({ runId, upstream, priority, acceptedAtMs });
      after = upstream;
    }
  }

  #setBounds({ acceptedAtMs, upstream, maxJobs }: SlotRequest): void {
    const { maxJobs: known, asOfMs } = this.#projectBound;
    if (acceptedAtMs >= asOfMs) {
      this.#projectBound = { maxJobs: maxJobs.project, asOfMs: acceptedAtMs };
      if (known !== maxJobs.project) this.#storeBound(projectItself, maxJobs.project, acceptedAtMs);
    }
    if ((this.#upstreamBounds.get(upstream) ?? null) === maxJobs.upstream) return;
    this.#upstreamBounds.set(upstream, maxJobs.upstream);
    this.#storeBound(upstream, maxJobs.upstream, 0);
  }

  #storeBound(upstream: string, maxJobs: number | null, asOfMs: number): void {
    this.#sql.exec("INSERT OR REPLACE INTO bounds VALUES (?, ?, ?)", upstream, maxJobs, asOfMs);
  }

  #hold(runId: string, slot: HeldSlot): void {
    const { upstream, leaseUntilMs, taken } = slot;
    this.#sql.exec("INSERT OR REPLACE INTO slots VALUES (?, ?, ?, ?)", runId, upstream, leaseUntilMs, Number(taken));
    this.#held.set(runId, slot);
    if (taken) this.#uncalled.delete(runId);
  }

  #free(runId: string): void {
    this.#sql.exec("DELETE FROM slots WHERE run = ?", runId);
    this.#held.delete(runId);
    this.#uncalled.delete(runId);
  }

  #leaveQueue(runId: string): void {
    this.#sql.exec("DELETE FROM queue WHERE run = ?", runId);
  }

  #load(nowMs: number): void {
    for (const { run, upstream, lease_until: leaseUntilMs, taken } of this.#rows<SlotRow>("SELECT * FROM slots")) {
      if (taken === 1) this.#held.set(run, { upstream, leaseUntilMs, taken: true });
      else {
        // Whoever gave it may have ended before the job was told.
        this.#held.set(run, offeredSlot(upstream, nowMs));
        this.#uncalled.add(run);
      }
    }
    const bounds = this.#rows<{ upstream: string; max_jobs: number | null; as_of: number }>("SELECT * FROM bounds");
    for (const { upstream, max_jobs: maxJobs, as_of: asOfMs } of bounds) {
      if (upstream === projectItself) this.#projectBound = { maxJobs, asOfMs };
      else this.#upstreamBounds.set(upstream, maxJobs);
    }
  }

  #rows<Found extends Row>(query: string, ...bindings: SqlStorageValue[]): Found[] {
    return this.#sql.exec<Found>(query, ...bindings).toArray();
  }
}
