import type { EndpointObjects } from "../core/endpointPorts.ts";
import type { EndpointActor } from "../durable/endpointActor.ts";
import { callObject } from "../durable/objectCall.ts";

/** The endpoints' objects, each addressed by its endpoint's id. */
export function endpointObjects(namespace: DurableObjectNamespace): EndpointObjects {
  const actors = namespace as DurableObjectNamespace<EndpointActor>;
  const actor = ({ endpointId }: { endpointId: string }) => actors.get(actors.idFromName(endpointId));
  return {
    state: (owner) => callObject(() => actor(owner).state(owner)),
    setEnabled: (owner, enabled) => callObject(() => actor(owner).setEnabled(owner, enabled)),
    changed: (owner, isMoved) => callObject(() => actor(owner).changed(owner, isMoved)),
    // A second sample would be sent for the first one.
    sendSample: (owner, notice) => actor(owner).sendSample(owner, notice),
    listDeliveries: (owner, filter) => callObject(async () => actor(owner).listDeliveries(owner, filter)),
    findDelivery: (owner, id) => callObject(async () => actor(owner).findDelivery(owner, id)),
    replay: (owner, id) => callObject(async () => actor(owner).replay(owner, id)),
    forgetRun: (owner, runId) => callObject(() => actor(owner).forgetRun(owner, runId)),
    clear: (owner) => callObject(() => actor(owner).clear(owner)),
  };
}
