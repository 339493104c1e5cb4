import type { SendingPorts } from "../core/deliverySending.ts";
import type { EndpointStore } from "../core/endpointPorts.ts";
import { noSecretBox, secretBox } from "../core/secretBox.ts";
import { type Env, settingsOf } from "../env.ts";
import { database } from "../store/db.ts";
import { endpointStore } from "../store/endpoints.ts";

/** What an endpoint's actor works with. */
export type EndpointBindings = Pick<EndpointStore, "findEndpoint" | "showDisabled"> & Omit<SendingPorts, "isHeld">;

/** Binds an endpoint to D1, the network and the clock. */
export function endpointBindings(env: Env): EndpointBindings {
  const { ENCRYPTION_KEY, WEBHOOKS_ALLOW_LOOPBACK, OWN_HOSTS } = settingsOf(env);
  const { findEndpoint, showDisabled } = endpointStore(database(env.DB));
  return {
    findEndpoint,
    showDisabled,
    post: (request) => fetch(request),
    box: ENCRYPTION_KEY ? secretBox(ENCRYPTION_KEY) : noSecretBox,
    allowLoopback: WEBHOOKS_ALLOW_LOOPBACK === "true",
    ownHosts: OWN_HOSTS,
    now: () => Date.now(),
  };
}
