import type { BatchObjects } from "../core/jobBatchPorts.ts";
import type { BatchActor } from "../durable/batchActor.ts";
import { callObject } from "../durable/objectCall.ts";

/** The batches' objects, each addressed by its batch's id. */
export function batchObjects(namespace: DurableObjectNamespace): BatchObjects {
  const actors = namespace as DurableObjectNamespace<BatchActor>;
  const actor = (batchId: string) => actors.get(actors.idFromName(batchId));
  return {
    arm: (batch) => callObject(() => actor(batch.batchId).arm(batch)),
    start: (batch) => callObject(() => actor(batch.batchId).start(batch)),
    cancel: (batch) => callObject(() => actor(batch.batchId).cancel(batch)),
  };
}
