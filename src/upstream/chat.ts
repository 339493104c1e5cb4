import { AppError } from "../core/errors.ts";
import type { CallUpstream } from "../core/upstreams.ts";

/** Fetch's shape: the network's own, or the simulator's. */
export type Fetch = (request: Request) => Promise<Response>;

/** Calls chat completions over HTTP; the simulator is called through the same requests and answers. */
export function callUpstream(simulator: Fetch, network: Fetch): CallUpstream {
  return async ({ route, body, stream, signal }) => {
    const request = new Request(`${route.baseUrl}/chat/completions`, {
      method: "POST",
      headers: {
        ...route.headers,
        "content-type": "application/json",
        accept: stream ? "text/event-stream" : "application/json",
        ...(route.apiKey && { authorization: `Bearer ${route.apiKey}` }),
      },
      body: JSON.stringify(body),
      // The key must not follow a redirect to another host.
      redirect: "manual",
      signal,
    });
    const response = await (route.simulated ? simulator : network)(request).catch((cause: unknown) => {
      if (signal.aborted) throw cause;
      throw new AppError("upstream_error", "The upstream cannot be reached.", { cause, details: { transient: true } });
    });
    if (response.status < 300 || response.status >= 400) return response;
    await response.body?.cancel();
    throw new AppError("upstream_error", "The upstream answered with a redirect, which is not followed.");
  };
}
