import type { Callback } from "../contract/endpoints.ts";
import type { EndpointStore } from "./endpointPorts.ts";
import { AppError } from "./errors.ts";
import type { Principal } from "./principal.ts";

/** Throws `not_found` (param `callback.endpointId`) unless the endpoint that is named, if one is, is the caller's. */
export type CheckCallback = (principal: Principal, callback: Callback | undefined) => Promise<void>;

export function checkCallback({ findEndpoint }: Pick<EndpointStore, "findEndpoint">): CheckCallback {
  return async ({ projectId }, callback) => {
    if (!callback) return;
    const { endpointId } = callback;
    const stored = await findEndpoint({ projectId, endpointId });
    if (!stored || stored.endpoint.archived)
      throw new AppError("not_found", `callback.endpointId: there is no endpoint ${endpointId}`, {
        param: "callback.endpointId",
      });
  };
}
