import { limits } from "../contract/limits.ts";
import type { JobObjects, JobStore } from "./jobPorts.ts";
import type { RunOutcome, RunStart, SettleRun } from "./runRecord.ts";

/** A run that has not ended although it began a while ago. */
export type OldLiveRun = {
  start: RunStart;
  /** Null: it is relayed to its caller. */
  job: { runAtMs: number } | null;
  /** Where the walk goes on after it. */
  cursor: string;
};

export type SweepStore = {
  /** Where the walk over live runs goes on; null: at its beginning. */
  findCursor: () => Promise<string | null>;
  moveCursor: (cursor: string | null) => Promise<void>;
  /** The next `limit` live runs, those among them that were created before then, and where the walk goes on. */
  listOldLiveRuns: (
    cursor: string | null,
    bounds: { createdBeforeMs: number; limit: number },
  ) => Promise<{ runs: OldLiveRun[]; next: string | null }>;
  /** Drops the contents of runs whose retention is over, with what could be sought in them and what repeats their jobs. */
  pruneContents: (nowMs: number, limit: number) => Promise<number>;
  /** Drops idempotency keys that have been free since then. */
  pruneIdempotency: (expiredBeforeMs: number, limit: number) => Promise<number>;
};

/** Drops the payloads of received events whose retention is over. */
export type PruneEvents = (nowMs: number, limit: number) => Promise<number>;

export type SweepPorts = SweepStore &
  Pick<JobStore, "findStoredJob"> & {
    pruneEvents: PruneEvents;
    startJob: JobObjects["start"];
    settleRun: SettleRun;
    /** The longest time that a relay may take, ms. */
    maxRelayMs: number;
    log: (event: string, fields: Record<string, unknown>) => void;
    /** Milliseconds since the epoch. */
    now: () => number;
  };

/** How many of a kind one sweep has dealt with. */
export type Swept = {
  jobsStarted: number;
  relaysClosed: number;
  contentsPruned: number;
  keysPruned: number;
  eventsPruned: number;
};

/**
 * One sweep: repairs what its owner left behind, and drops what has expired. Bounded in each kind; the next sweep goes
 * on. Everything it does may be done twice, and in a race with a run's owner the first end stands. A kind that fails is
 * logged and holds up no other.
 */
export async function sweep(ports: SweepPorts): Promise<Swept> {
  const nowMs = ports.now();
  const either = async <T>(what: string, work: Promise<T>, otherwise: T): Promise<T> =>
    work.catch((cause: unknown) => {
      ports.log("sweep_failed", { what, cause });
      return otherwise;
    });
  const [live, contentsPruned, keysPruned, eventsPruned] = await Promise.all([
    either("runs", sweepLiveRuns(ports, nowMs), { jobsStarted: 0, relaysClosed: 0 }),
    either("contents", ports.pruneContents(nowMs, limits.sweepRows), 0),
    either("idempotency", ports.pruneIdempotency(nowMs - limits.sweepAfterMs, limits.sweepRows), 0),
    either("events", ports.pruneEvents(nowMs, limits.sweepRows), 0),
  ]);
  const swept = { ...live, contentsPruned, keysPruned, eventsPruned };
  if (Object.values(swept).some((count) => count > 0)) ports.log("swept", swept);
  return swept;
}

/** Walks over the live runs, a bounded part at a time, so that many which are well do not hide one that is not. */
async function sweepLiveRuns(ports: SweepPorts, nowMs: number): Promise<Pick<Swept, "jobsStarted" | "relaysClosed">> {
  const from = await ports.findCursor();
  const createdBeforeMs = nowMs - limits.sweepAfterMs;
  const { runs, next } = await ports.listOldLiveRuns(from, { createdBeforeMs, limit: limits.sweepRows });
  const deadBeforeMs = nowMs - ports.maxRelayMs - limits.relaySlackMs;
  const isDead = ({ job, start }: OldLiveRun) => job === null && start.createdAtMs <= deadBeforeMs;
  const isLate = ({ job }: OldLiveRun) => job !== null && job.runAtMs <= createdBeforeMs;

  const late = runs.filter(isLate).slice(0, limits.sweepStarts);
  const to = late.length === limits.sweepStarts ? (late.at(-1)?.cursor ?? null) : next;
  const [started, closed] = await Promise.all([
    Promise.all(late.map(({ start }) => startJob(ports, start))),
    Promise.all(runs.filter(isDead).map(({ start }) => closeRelay(ports, start))),
  ]);
  if (to !== from) await ports.moveCursor(to);
  return { jobsStarted: started.filter(Boolean).length, relaysClosed: closed.filter(Boolean).length };
}

/** Its object does nothing when the job goes on by itself; it starts one it never got, and puts on record one that has ended. */
async function startJob(ports: SweepPorts, { id, projectId }: RunStart): Promise<boolean> {
  try {
    const job = await ports.findStoredJob(projectId, id);
    if (!job?.stored) return false;
    await ports.startJob(job.stored.spec);
    return true;
  } catch (cause) {
    ports.log("job_not_started", { runId: id, cause });
    return false;
  }
}

/** Closes a relay that has outlived its longest time: the Worker that would have recorded its end is gone. */
async function closeRelay(ports: SweepPorts, start: RunStart): Promise<boolean> {
  try {
    return await ports.settleRun(start, lostRelay, null);
  } catch (cause) {
    ports.log("run_not_recorded", { runId: start.id, status: lostRelay.status, cause });
    return false;
  }
}

/** What is known of a relay that nobody saw end. */
const lostRelay: RunOutcome = {
  status: "interrupted",
  errorCode: "unavailable",
  errorMessage: "The runtime stopped while the answer was being relayed.",
  finishReason: null,
  malformed: false,
  attempts: [],
  modelAnswered: null,
  upstream: null,
  usage: null,
  usageSource: "unknown",
  cost: null,
  queueMs: null,
  headersMs: null,
  firstTokenMs: null,
  totalMs: null,
  outputValid: null,
};
