import type { JobObjects } from "../core/jobPorts.ts";
import type { JobActor } from "../durable/jobActor.ts";

/** The jobs' objects, each addressed by its run's id. */
export function jobObjects(namespace: DurableObjectNamespace): JobObjects {
  const actors = namespace as DurableObjectNamespace<JobActor>;
  // A stub whose call failed is done for, so each call has its own.
  const actor = (runId: string) => actors.get(actors.idFromName(runId));
  return {
    start: (spec) => actor(spec.start.id).start(spec),
    watch: (runId, reader, options) => actor(runId).watch(reader, options),
    forget: (runId, reader) => actor(runId).forget(reader),
    cancel: (runId, reader, unstarted) => actor(runId).cancel(reader, unstarted),
  };
}
