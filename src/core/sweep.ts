import { limits } from "../contract/limits.ts";
import type { JobObjects, JobStore } from "./jobPorts.ts";
import type { RunOutcome, RunStart, SettleRun } from "./runRecord.ts";

/** A run that has not ended although it began a while ago. */
export type OldLiveRun = {
  id: string;
  projectId: string;
  createdAtMs: number;
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
  /** How these runs began, of those that have not ended. */
  findLiveStarts: (runIds: readonly string[]) => Promise<RunStart[]>;
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
    /** Those of the jobs that call upstreams or wait for their turn, as far as the project's gate knows. */
    findGatedJobs: (projectId: string, runIds: readonly string[]) => Promise<readonly string[]>;
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

/**
 * Walks over the live runs, a bounded part at a time, so that many which are well do not hide one that is not. A job that
 * its project's gate knows of goes on by itself, and no call is spent on it.
 */
async function sweepLiveRuns(ports: SweepPorts, nowMs: number): Promise<Pick<Swept, "jobsStarted" | "relaysClosed">> {
  const from = await ports.findCursor();
  const createdBeforeMs = nowMs - limits.sweepAfterMs;
  const { runs, next } = await ports.listOldLiveRuns(from, { createdBeforeMs, limit: limits.sweepLiveRuns });
  const deadBeforeMs = nowMs - ports.maxRelayMs - limits.relaySlackMs;
  const dead = runs.filter(({ job, createdAtMs }) => job === null && createdAtMs <= deadBeforeMs);
  const late = runs.filter(({ job }) => job !== null && job.runAtMs <= createdBeforeMs);
  const [{ starting, cursor }, closed] = await Promise.all([jobsToStart(ports, late), closeRelays(ports, dead)]);
  const started = await Promise.all(starting.map((job) => startJob(ports, job)));
  const to = cursor ?? next;
  if (to !== from) await ports.moveCursor(to);
  return { jobsStarted: started.filter(Boolean).length, relaysClosed: closed };
}

/** The jobs among those that are late which no gate knows of, and where to go on if that is before the end of them. */
async function jobsToStart(
  ports: SweepPorts,
  late: readonly OldLiveRun[],
): Promise<{ starting: OldLiveRun[]; cursor: string | null }> {
  // In their order, which is that of their projects.
  const byProject = [...Map.groupBy(late, ({ projectId }) => projectId)];
  const asked = byProject.slice(0, limits.sweepStarts);
  const unknown = (await Promise.all(asked.map(([projectId, jobs]) => unknownToGate(ports, projectId, jobs)))).flat();
  const starting = unknown.slice(0, limits.sweepStarts);
  if (starting.length < unknown.length) return { starting, cursor: starting.at(-1)?.cursor ?? null };
  const isAll = asked.length === byProject.length;
  return { starting, cursor: isAll ? null : (asked.at(-1)?.[1].at(-1)?.cursor ?? null) };
}

async function unknownToGate(ports: SweepPorts, projectId: string, jobs: OldLiveRun[]): Promise<OldLiveRun[]> {
  const runIds = jobs.map(({ id }) => id);
  const known = await ports.findGatedJobs(projectId, runIds).catch((cause: unknown) => {
    ports.log("gate_not_asked", { projectId, cause });
    return [];
  });
  const gated = new Set(known);
  return jobs.filter(({ id }) => !gated.has(id));
}

async function closeRelays(ports: SweepPorts, dead: readonly OldLiveRun[]): Promise<number> {
  if (dead.length === 0) return 0;
  const starts = await ports.findLiveStarts(dead.map(({ id }) => id));
  const closed = await Promise.all(starts.map((start) => closeRelay(ports, start)));
  return closed.filter(Boolean).length;
}

/** Its object does nothing when the job goes on by itself; it starts one it never got, and puts on record one that has ended. */
async function startJob(ports: SweepPorts, { id, projectId }: OldLiveRun): Promise<boolean> {
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
