import type { Model } from "../contract/models.ts";
import type { Route, RouteModel } from "../core/upstreams.ts";

export type UpstreamSettings = {
  /** OpenAI-compatible base URL of the default upstream; absent: there is none. */
  baseUrl: string | undefined;
  apiKey: string | undefined;
  simulator: boolean;
  /** For what is known of a model beside its name. */
  models: readonly Model[];
};

/** Model names of the embedded simulator begin with this; it serves them only where it is switched on. */
const simulatorPrefix = "sim/";

/** `sim/…` goes to the simulator, everything else to the default upstream. */
export function routeModel({ baseUrl, apiKey, simulator, models }: UpstreamSettings): RouteModel {
  return async (_projectId, model) => {
    const reasoning = models.some(({ id, capabilities }) => id === model && capabilities.includes("reasoning"));
    const common = { model, headers: {}, reasoning };
    if (model.startsWith(simulatorPrefix)) return simulator ? { ...common, ...simulatorRoute } : null;
    if (!baseUrl) return null;
    return { ...common, upstream: "default", simulated: false, ...addressed(baseUrl, apiKey ?? null) };
  };
}

const simulatorRoute = {
  upstream: "sim",
  simulated: true,
  baseUrl: "http://simulator/v1",
  apiKey: null,
  secrets: [],
};

/** An address and its key, with the texts that errors must not quote. */
export function addressed(baseUrl: string, apiKey: string | null): Pick<Route, "baseUrl" | "apiKey" | "secrets"> {
  const { host, hostname } = new URL(baseUrl);
  return {
    baseUrl: baseUrl.replace(/\/+$/, ""),
    apiKey,
    secrets: [baseUrl, host, hostname, ...(apiKey ? [apiKey] : [])],
  };
}
