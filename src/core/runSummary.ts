import type { Run } from "../contract/runs.ts";
import type { RunOutcome, RunStart } from "./runRecord.ts";

/** A run that has just ended, as the run log will show it. */
export function runSummary(start: RunStart, outcome: RunOutcome): Run {
  const { queueMs, headersMs, firstTokenMs, totalMs, ...how } = outcome;
  return {
    id: start.id,
    source: start.source,
    simulated: start.simulated,
    stream: start.stream,
    createdAt: new Date(start.createdAtMs).toISOString(),
    keyId: start.keyId,
    template: start.template,
    modelAsked: start.modelAsked,
    retryOf: start.retryOf ?? null,
    batchId: start.batchId ?? null,
    metadata: start.metadata,
    ...how,
    timings: { queueMs, headersMs, firstTokenMs, totalMs },
    score: null,
    scoreComment: null,
  };
}
