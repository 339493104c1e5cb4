import type { JobEvent } from "../contract/jobs.ts";
import { limits } from "../contract/limits.ts";
import type { Attempt } from "../contract/runs.ts";
import { type AnswerDelta, ToldAnswer } from "../core/answerDelta.ts";
import type { JobReader } from "../core/jobPorts.ts";
import type { JobSpec } from "../core/jobSpec.ts";
import type { RunOutcome } from "../core/runRecord.ts";

type Unnumbered<Event> = Event extends unknown ? Omit<Event, "seq"> : never;
type StatusEvent = Extract<JobEvent, { type: "status" }>;
type DoneEvent = Extract<JobEvent, { type: "done" }>;

/** What goes with an event and is no watcher's business. */
type Aside = { attempts?: readonly Attempt[]; retryAtMs?: number; end?: JobEnd };

/** How the job ended, as its record in D1 will say; kept until that holds. The output is in the event. */
export type JobEnd = { outcome: RunOutcome; endedAtMs: number };

export type JobState = {
  owner: { projectId: string; keyId: string };
  lastSeq: number;
  status: StatusEvent["status"];
  attempts: readonly Attempt[];
  /** When the next round may begin; null when it need not wait. */
  retryAtMs: number | null;
  end: (JobEnd & Pick<DoneEvent, "output">) | null;
  /** Whether D1 holds the end. */
  filed: boolean;
  /** Whether D1 holds the end and the endpoints that are told of it have it: nothing is left to do. */
  recorded: boolean;
};

/**
 * A job's log in its object's SQLite: events as the lines that watchers get, numbered from 1, and the spec until the
 * job's end is on record in D1 and with its endpoints; what these are told is in the event that ends the job. It alone
 * says what state the job is in; all writes are synchronous, so that looking and writing are one step. An object that
 * never held a job has no table.
 */
export class JobLog {
  readonly #sql: SqlStorage;
  #state: JobState | null = null;
  #last: { seq: number; json: string } | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    if (this.#rows("SELECT 1 FROM sqlite_master WHERE name = 'job'").length > 0) this.#state = this.#load();
  }

  /** Null: the object holds no job. */
  get state(): Readonly<JobState> | null {
    return this.#state;
  }

  /** Null once nothing is left to do for the job. */
  spec(): JobSpec | null {
    const [row] = this.#rows<{ spec: string | null }>("SELECT spec FROM job");
    return row?.spec ? (JSON.parse(row.spec) as JobSpec) : null;
  }

  /** Whether the job is the reader's to see. */
  admits({ projectId, keyId }: JobReader): boolean {
    const owner = this.#state?.owner;
    return owner !== undefined && owner.projectId === projectId && (keyId === null || owner.keyId === keyId);
  }

  /** Takes a job in; false when the object holds one already. */
  begin(spec: JobSpec): boolean {
    if (this.#state) return false;
    const { projectId, keyId } = spec.start;
    this.#sql.exec("CREATE TABLE IF NOT EXISTS job (project TEXT, key TEXT, spec TEXT, recorded INTEGER)");
    this.#sql.exec("CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, line TEXT NOT NULL, aside TEXT)");
    this.#sql.exec("INSERT INTO job VALUES (?, ?, ?, 0)", projectId, keyId, JSON.stringify(spec));
    this.#state = {
      owner: { projectId, keyId },
      lastSeq: 0,
      status: "queued",
      attempts: [],
      retryAtMs: null,
      end: null,
      filed: false,
      recorded: false,
    };
    this.#append({ type: "status", status: "queued", attempt: 0 }, {});
    return true;
  }

  /** An attempt begins; its upstream may be called once this returns. */
  running(attempts: readonly Attempt[]): void {
    this.#append({ type: "status", status: "running", attempt: attempts.length }, { attempts });
  }

  waiting(attempts: readonly Attempt[], retryAtMs: number): void {
    const retryAt = new Date(retryAtMs).toISOString();
    this.#append(
      { type: "status", status: "waiting_retry", attempt: attempts.length, retryAt },
      { attempts, retryAtMs },
    );
  }

  delta(delta: AnswerDelta): void {
    this.#append({ type: "delta", ...delta }, null);
  }

  /** Ends the job; false, and nothing is written, when it has ended. */
  done(event: Omit<DoneEvent, "seq" | "type">, end: JobEnd): boolean {
    if (!this.#state || this.#state.end) return false;
    this.#append({ type: "done", ...event }, { end });
    return true;
  }

  /** D1 holds the end; endpoints are still to be told. */
  filed(): void {
    if (!this.#state || this.#state.filed) return;
    this.#sql.exec("UPDATE job SET recorded = 2");
    this.#state.filed = true;
  }

  /** D1 and the endpoints hold the end: what was sent is not needed here any more. */
  recorded(): void {
    if (!this.#state) return;
    this.#sql.exec("UPDATE job SET spec = NULL, recorded = 1");
    this.#state.filed = true;
    this.#state.recorded = true;
  }

  /** D1 has lost the end that it held: it is to be put on record once more. */
  unrecorded(spec: JobSpec): void {
    if (!this.#state) return;
    this.#sql.exec("UPDATE job SET spec = ?, recorded = 0", JSON.stringify(spec));
    this.#state.filed = false;
    this.#state.recorded = false;
  }

  /** The object is about to lose everything it holds. */
  clear(): void {
    this.#state = null;
    this.#last = null;
  }

  /** What the events tell of the answer. */
  answer(): ToldAnswer {
    const answer = new ToldAnswer();
    // Line by line: the text is in memory once.
    for (const { line } of this.#sql.exec<{ line: string }>("SELECT line FROM events ORDER BY seq"))
      answer.add(JSON.parse(line) as JobEvent);
    return answer;
  }

  /** The events after one up to another, as many as may be read at a time, each as its JSON. */
  eventsAfter(seq: number, through: number): { seq: number; json: string }[] {
    const events: { seq: number; json: string }[] = [];
    const rows = this.#sql.exec<{ seq: number; json: string }>(
      "SELECT seq, line AS json FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
      seq,
      through,
      limits.watchBatchEvents,
    );
    let chars = 0;
    for (const row of rows) {
      events.push(row);
      chars += row.json.length;
      if (chars >= limits.watchBatchChars) break;
    }
    return events;
  }

  /** The event that was logged last, if it was by this instance of the object. */
  get last(): { seq: number; json: string } | null {
    return this.#last;
  }

  #append(event: Unnumbered<JobEvent>, aside: Aside | null): void {
    const state = this.#state;
    if (!state) throw new Error("the object holds no job");
    const seq = state.lastSeq + 1;
    const line = JSON.stringify({ seq, ...event });
    this.#sql.exec("INSERT INTO events VALUES (?, ?, ?)", seq, line, aside && JSON.stringify(aside));
    this.#last = { seq, json: line };
    state.lastSeq = seq;
    fold(state, event, aside);
  }

  #load(): JobState | null {
    const [job] = this.#rows<{ project: string; key: string; recorded: number }>(
      "SELECT project, key, recorded FROM job",
    );
    if (!job) return null;
    const [last] = this.#rows<{ seq: number }>("SELECT max(seq) AS seq FROM events");
    const state: JobState = {
      owner: { projectId: job.project, keyId: job.key },
      lastSeq: last?.seq ?? 0,
      status: "queued",
      attempts: [],
      retryAtMs: null,
      end: null,
      filed: job.recorded !== 0,
      recorded: job.recorded === 1,
    };
    const told = this.#rows<{ line: string; aside: string }>(
      "SELECT line, aside FROM events WHERE aside IS NOT NULL ORDER BY seq",
    );
    for (const { line, aside } of told) fold(state, JSON.parse(line) as JobEvent, JSON.parse(aside) as Aside);
    return state;
  }

  #rows<Row extends Record<string, SqlStorageValue>>(query: string, ...bindings: SqlStorageValue[]): Row[] {
    return this.#sql.exec<Row>(query, ...bindings).toArray();
  }
}

function fold(state: JobState, event: Unnumbered<JobEvent>, aside: Aside | null): void {
  if (event.type === "status") {
    state.status = event.status;
    state.retryAtMs = aside?.retryAtMs ?? null;
  }
  if (aside?.attempts) state.attempts = aside.attempts;
  if (aside?.end && event.type === "done") state.end = { ...aside.end, output: event.output };
}
