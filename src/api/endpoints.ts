import type { EndpointObjects } from "../core/endpointPorts.ts";
import type { EndpointActor } from "../durable/endpointActor.ts";

/** The endpoints' objects, each addressed by its endpoint's id. */
export function endpointObjects(namespace: DurableObjectNamespace): EndpointObjects {
  const actors = namespace as DurableObjectNamespace<EndpointActor>;
  // A stub whose call failed is done for, so each call has its own.
  const actor = ({ endpointId }: { endpointId: string }) => actors.get(actors.idFromName(endpointId));
  return {
    accept: (owner, notices, keptMs) => actor(owner).accept(owner, notices, keptMs),
    state: (owner) => actor(owner).state(owner),
    setEnabled: (owner, enabled) => actor(owner).setEnabled(owner, enabled),
    changed: (owner, isMoved) => actor(owner).changed(owner, isMoved),
    sendSample: (owner, notice) => actor(owner).sendSample(owner, notice),
    listDeliveries: (owner, filter) => actor(owner).listDeliveries(owner, filter),
    findDelivery: (owner, id) => actor(owner).findDelivery(owner, id),
    replay: (owner, id) => actor(owner).replay(owner, id),
    forgetRun: (owner, runId) => actor(owner).forgetRun(owner, runId),
    clear: (owner) => actor(owner).clear(owner),
  };
}
