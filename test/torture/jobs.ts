import type { CancelledJob, JobEvent, JobTicket } from "../../src/contract/jobs.ts";
import { type Client, insist, pause, Refused } from "./client.ts";
import type { JobPlan, WatcherPlan } from "./plan.ts";
import { downModel } from "./upstream.ts";

/** What one job's clients have seen. */
export type Witness = {
  plan: JobPlan;
  /** Every id that a submit was answered with. */
  runIds: Set<string>;
  /** The events that each watcher has seen, over all its connections. */
  watched: JobEvent[][];
  /** Connections that watchers lost or dropped. */
  reconnects: number;
  /** What cancelling was answered with. */
  cancelled: CancelledJob | null;
  /** What went against the protocol on the way. */
  faults: string[];
};

/** Plays the clients of one job: submits it, watches it and may cancel it. Resolves when all have what they wait for. */
export async function playJob(client: Client, plan: JobPlan, signal: AbortSignal): Promise<Witness> {
  const witness: Witness = { plan, runIds: new Set(), watched: [], reconnects: 0, cancelled: null, faults: [] };
  try {
    await submit(client, witness, signal);
    const [runId] = witness.runIds;
    if (runId === undefined) return witness;
    await Promise.all([
      ...plan.watchers.map((watcher) => watch(client, { runId, watcher, witness, signal })),
      plan.cancelMs !== null && cancel(client, { runId, afterMs: plan.cancelMs, witness, signal }),
    ]);
  } catch (thrown) {
    witness.faults.push(`its clients failed: ${String(thrown)}`);
  }
  return witness;
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
  witness.watched.push(seen);
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
