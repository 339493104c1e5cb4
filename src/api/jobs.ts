import type { JobObjects } from "../core/jobPorts.ts";
import type { JobActor } from "../durable/jobActor.ts";
import { callObject } from "../durable/objectCall.ts";

/** The jobs' objects, each addressed by its run's id. */
export function jobObjects(namespace: DurableObjectNamespace): JobObjects {
  const actors = namespace as DurableObjectNamespace<JobActor>;
  const actor = (runId: string) => actors.get(actors.idFromName(runId));
  return {
    start: (spec) => callObject(() => actor(spec.start.id).start(spec)),
    watch: (runId, reader, options) => callObject(async () => actor(runId).watch(reader, options)),
    forget: (runId, reader) => callObject(() => actor(runId).forget(reader)),
    cancel: (runId, reader, unstarted) => callObject(() => actor(runId).cancel(reader, unstarted)),
  };
}
