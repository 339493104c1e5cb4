import type { Model } from "../contract/models.ts";
import { addressed, atDefault, type FindOwnUpstreams, ownerOf } from "../core/ownUpstreams.ts";
import type { RouteModel } from "../core/upstreams.ts";

export type RouteSettings = {
  /** OpenAI-compatible base URL of the default upstream; absent: there is none. */
  baseUrl: string | undefined;
  apiKey: string | undefined;
  simulator: boolean;
  /** For what is known of a model beside its name. */
  models: readonly Model[];
  ownUpstreams: FindOwnUpstreams;
};

/** Model names of the embedded simulator begin with this; it serves them only where it is switched on. */
const simulatorPrefix = "sim/";

/**
 * A model goes to the project's own upstream that it names or that maps it, else `sim/…` to the simulator, else to
 * the default upstream.
 */
export function routeModel({ baseUrl, apiKey, simulator, models, ownUpstreams }: RouteSettings): RouteModel {
  const reasons = (name: string) =>
    models.some(({ id, capabilities }) => id === name && capabilities.includes("reasoning"));
  return async (projectId, model) => {
    const named = atDefault(model);
    const own = named === null ? ownerOf(await ownUpstreams(projectId), model) : null;
    if (own) {
      const { upstream } = own;
      // `NAME/` names no model.
      if (own.model === "") return null;
      const address = addressed(upstream.baseUrl, await upstream.secrets());
      const reasoning = reasons(model) || reasons(own.model);
      const { name, maxJobs } = upstream;
      return { ...address, upstream: name, model: own.model, simulated: false, shared: false, reasoning, maxJobs };
    }
    const wireName = named ?? model;
    const common = { model: wireName, headers: {}, reasoning: reasons(wireName), maxJobs: null };
    if (wireName === "") return null;
    if (model.startsWith(simulatorPrefix)) return simulator ? { ...common, ...simulatorRoute } : null;
    if (!baseUrl) return null;
    const address = addressed(baseUrl, { apiKey: apiKey ?? null, headers: {} });
    return { ...common, upstream: "default", simulated: false, shared: true, ...address };
  };
}

const simulatorRoute = {
  upstream: "sim",
  simulated: true,
  shared: true,
  baseUrl: "http://simulator/v1",
  apiKey: null,
  secrets: [],
};
