import type { RouteModel } from "../core/upstreams.ts";

export type UpstreamSettings = {
  /** OpenAI-compatible base URL; absent: no upstream but perhaps the simulator. */
  baseUrl: string | undefined;
  apiKey: string | undefined;
  simulator: boolean;
};

/** Model names of the embedded simulator begin with this; it serves them only where it is switched on. */
const simulatorPrefix = "sim/";

/** `sim/…` goes to the simulator, everything else to the configured upstream. */
export function routeModel({ baseUrl, apiKey, simulator }: UpstreamSettings): RouteModel {
  return (model) => {
    if (model.startsWith(simulatorPrefix))
      return simulator ? { upstream: "sim", simulated: true, model, secrets: [] } : null;
    if (!baseUrl) return null;
    const { host, hostname } = new URL(baseUrl);
    const secrets = [baseUrl, host, hostname, ...(apiKey ? [apiKey] : [])];
    return { upstream: "default", simulated: false, model, secrets };
  };
}
