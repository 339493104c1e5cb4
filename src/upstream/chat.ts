import { AppError } from "../core/errors.ts";
import type { CallUpstream } from "../core/upstreams.ts";
import type { UpstreamSettings } from "./route.ts";

/** Fetch's shape: the network's own, or the simulator's. */
export type Fetch = (request: Request) => Promise<Response>;

/** Calls chat completions over HTTP; the simulator is called through the same requests and answers. */
export function callUpstream(settings: UpstreamSettings, simulator: Fetch, network: Fetch): CallUpstream {
  return async ({ route, body, stream, signal }) => {
    const { baseUrl, apiKey } = settings;
    const url = route.simulated ? "http://simulator/v1" : baseUrl;
    if (!url) throw new AppError("unavailable", "No upstream is configured.");
    const request = new Request(`${url.replace(/\/+$/, "")}/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: stream ? "text/event-stream" : "application/json",
        ...(apiKey && !route.simulated && { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify(body),
      // The key must not follow a redirect to another host.
      redirect: "manual",
      signal,
    });
    const response = await (route.simulated ? simulator : network)(request).catch((cause: unknown) => {
      if (signal.aborted) throw cause;
      throw new AppError("upstream_error", "The upstream cannot be reached.", { cause });
    });
    if (response.status < 300 || response.status >= 400) return response;
    await response.body?.cancel();
    throw new AppError("upstream_error", "The upstream answered with a redirect, which is not followed.");
  };
}
