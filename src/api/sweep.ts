import { limits } from "../contract/limits.ts";
import { type Swept, sweep } from "../core/sweep.ts";
import { callObject } from "../durable/objectCall.ts";
import type { ProjectGate } from "../durable/projectGate.ts";
import { type Env, settingsOf } from "../env.ts";
import { log } from "../log.ts";
import { database } from "../store/db.ts";
import { eventStore } from "../store/events.ts";
import { jobStore } from "../store/jobs.ts";
import { settleRun } from "../store/runs.ts";
import { sweepStore } from "../store/sweep.ts";
import { jobObjects } from "./jobs.ts";

/** Binds one sweep to D1, the jobs' objects, the gates and the clock, and runs it. */
export function sweepOnce(env: Env): Promise<Swept> {
  const { UPSTREAM_TOTAL_TIMEOUT_MS } = settingsOf(env);
  const db = database(env.DB);
  const gates = env.GATES as DurableObjectNamespace<ProjectGate>;
  return sweep({
    ...sweepStore(db),
    pruneEvents: eventStore(db).pruneEvents,
    findStoredJob: jobStore(db).findStoredJob,
    startJob: jobObjects(env.JOBS).start,
    findGatedJobs: (projectId, runIds) =>
      callObject(async () => gates.get(gates.idFromName(projectId)).knownJobs(runIds)),
    settleRun: settleRun(db),
    maxRelayMs: Math.max(limits.maxTimeoutMs, UPSTREAM_TOTAL_TIMEOUT_MS),
    log,
    now: Date.now,
  });
}
