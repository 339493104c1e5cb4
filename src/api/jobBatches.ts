import type { BatchObjects } from "../core/jobBatchPorts.ts";
import type { BatchActor } from "../durable/batchActor.ts";

/** The batches' objects, each addressed by its batch's id. */
export function batchObjects(namespace: DurableObjectNamespace): BatchObjects {
  const actors = namespace as DurableObjectNamespace<BatchActor>;
  // A stub whose call failed is done for, so each call has its own.
  const actor = (batchId: string) => actors.get(actors.idFromName(batchId));
  return {
    arm: (batch) => actor(batch.batchId).arm(batch),
    start: (batch) => actor(batch.batchId).start(batch),
    cancel: (batch) => actor(batch.batchId).cancel(batch),
  };
}
