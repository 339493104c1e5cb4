import type { BatchTicket } from "../../src/contract/jobBatches.ts";
import type { CancelledJob, JobEvent, JobTicket } from "../../src/contract/jobs.ts";
import { type Client, insist, pause, Refused } from "./client.ts";
import type { BatchPlan, JobPlan, WatcherPlan } from "./plan.ts";
import { downModel } from "./upstream.ts";

/** What one job's clients have seen. */
export type Witness = {
  plan: JobPlan;
  /** Every id that a submit was answered with. */
  runIds: Set<string>;
  /** Every id that repeating it was answered with. */
  repeatIds: Set<string>;
  /** Whether it was to be cancelled with others. */
  cancelledWith: boolean;
  /** The run that each watcher watched, and the events it has seen, over all its connections. */
  watched: { runId: string; seen: JobEvent[] }[];
  /** Connections that watchers lost or dropped. */
  reconnects: number;
  /** What cancelling was answered with. */
  cancelled: CancelledJob | null;
  /** What went against the protocol on the way. */
  faults: string[];
};

/** Plays the clients of one job: submits it and looks after it. Resolves when all have what they wait for. */
export async function playJob(client: Client, plan: JobPlan, signal: AbortSignal): Promise<Witness> {
  const witness = witnessOf(plan);
  await noting(witness, async () => {
    await submit(client, witness, signal);
    await lookAfter(client, witness, signal);
  });
  return witness;
}

/** Plays the clients of a batch: submits it, may cancel it, and looks after each of its jobs. */
export async function playBatch(client: Client, batch: BatchPlan, signal: AbortSignal): Promise<Witness[]> {
  const { tag, jobs, submits, onInterrupt, cancelMs } = batch;
  const witnesses = jobs.map((plan) => ({ ...witnessOf(plan), cancelledWith: cancelMs !== null }));
  const [first] = witnesses;
  if (!first) return [];
  await noting(first, async () => {
    const items = jobs.map((job) => ({
      messages: [{ role: "user", content: job.tag }],
      metadata: { tag: job.tag },
    }));
    const input = { model: "torture", idempotencyKey: tag, onInterrupt, items };
    const once = async () => {
      const ticket = await client.call<BatchTicket>("jobs.submitBatch", input);
      for (const [at, runId] of ticket.runIds.entries()) witnesses[at]?.runIds.add(runId);
      return ticket.batchId;
    };
    const ids = await Promise.all(Array.from({ length: submits }, () => insist(signal, once)));
    const [batchId = ""] = ids;
    if (ids.some((id) => id !== batchId)) first.faults.push(`a batch submitted once, accepted as ${ids.join(", ")}`);
    const cancelled = async () => {
      await pause(cancelMs ?? 0);
      await insist(signal, () => client.call("jobs.cancelBatch", { batchId }));
    };
    await Promise.all([
      cancelMs !== null && cancelled(),
      ...witnesses.map((witness) => noting(witness, () => lookAfter(client, witness, signal))),
    ]);
  });
  return witnesses;
}

export function witnessOf(plan: JobPlan): Witness {
  return {
    plan,
    runIds: new Set(),
    repeatIds: new Set(),
    cancelledWith: false,
    watched: [],
    reconnects: 0,
    cancelled: null,
    faults: [],
  };
}

async function noting(witness: Witness, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    witness.faults.push(`its clients failed: ${String(thrown)}`);
  }
}

/** Watches an accepted job, may cancel it, and may repeat it and watch that. */
async function lookAfter(client: Client, witness: Witness, signal: AbortSignal): Promise<void> {
  const { plan, runIds } = witness;
  const [runId] = runIds;
  if (runId === undefined) return;
  await Promise.all([
    ...plan.watchers.map((watcher) => watch(client, { runId, watcher, witness, signal })),
    plan.cancelMs !== null && cancel(client, { runId, afterMs: plan.cancelMs, witness, signal }),
  ]);
  if (!plan.repeated) return;
  const once = async () => {
    const input = { runId, idempotencyKey: `${plan.tag} again` };
    witness.repeatIds.add((await client.call<JobTicket>("jobs.retry", input)).runId);
  };
  await Promise.all(Array.from({ length: plan.submits }, () => insist(signal, once)));
  const [repeatId = ""] = witness.repeatIds;
  for (const watcher of plan.watchers.slice(0, 1)) await watch(client, { runId: repeatId, watcher, witness, signal });
}

async function submit(client: Client, { plan, runIds, faults }: Witness, signal: AbortSignal): Promise<void> {
  const input = inputOf(plan);
  const once = async () => {
    const { runId } = await client.call<JobTicket>("jobs.submit", input);
    runIds.add(runId);
  };
  if (plan.keyed) await Promise.all(Array.from({ length: plan.submits }, () => insist(signal, once)));
  else
    await once().catch((thrown: unknown) => {
      // Without a key nobody knows whether it was accepted; the run log will tell.
      if (thrown instanceof Refused && !thrown.passing) faults.push(`refused: ${thrown.message}`);
    });
}

function inputOf({ tag, shape, keyed, priority, delayMs, onInterrupt }: JobPlan): Record<string, unknown> {
  return {
    ...(shape === "fallback" ? { model: downModel, fallbacks: ["torture"] } : { model: "torture" }),
    messages: [{ role: "user", content: tag }],
    metadata: { tag },
    priority,
    onInterrupt,
    ...(keyed && { idempotencyKey: tag }),
    ...(delayMs > 0 && { delayMs }),
    ...(shape === "stall" && { timeouts: { idleMs: 1_000 } }),
  };
}

type Watching = { runId: string; watcher: WatcherPlan; witness: Witness; signal: AbortSignal };

/** Watches to the end; a connection that is lost, or dropped by plan, is taken up again after the last event seen. */
async function watch(client: Client, { runId, watcher, witness, signal }: Watching): Promise<void> {
  const seen: JobEvent[] = [];
  witness.watched.push({ runId, seen });
  const drops = [...watcher.drops];
  await pause(watcher.joinMs);
  await insist(signal, async () => {
    for (;;) {
      const most = drops.shift() ?? Number.POSITIVE_INFINITY;
      const before = seen.length;
      try {
        for await (const event of client.watch(runId, seen.at(-1)?.seq ?? 0)) {
          seen.push(event);
          if (event.type === "done") return;
          if (seen.length - before >= most) break;
        }
      } finally {
        if (seen.at(-1)?.type !== "done") witness.reconnects++;
      }
    }
  });
}

type Cancelling = { runId: string; afterMs: number; witness: Witness; signal: AbortSignal };

async function cancel(client: Client, { runId, afterMs, witness, signal }: Cancelling): Promise<void> {
  await pause(afterMs);
  witness.cancelled = await insist(signal, () => client.call<CancelledJob>("jobs.cancel", { runId }));
}

/** All events of a job that has ended, by one connection from the beginning. */
export async function replay(client: Client, runId: string, signal: AbortSignal): Promise<JobEvent[]> {
  return insist(signal, async () => {
    const events: JobEvent[] = [];
    for await (const event of client.watch(runId, 0)) events.push(event);
    return events;
  });
}
