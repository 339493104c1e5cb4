import { WatchJobInput } from "../../contract/jobs.ts";
import type { RequestContext } from "../context.ts";

const path = "/trpc/jobs.watch";

/**
 * Answers `jobs.watch` with the stream that the job's object writes in tRPC's own protocol: it passes through this
 * Worker untouched, at a small part of what tRPC's subscriptions cost for each event. Null: tRPC answers, for whatever
 * is no such stream (a refusal, a run told from the run log), to the same client in the same words.
 */
export async function watchDirectly(request: Request, context: RequestContext): Promise<Response | null> {
  const { pathname, searchParams } = new URL(request.url);
  if (request.method !== "GET" || pathname !== path || searchParams.has("batch")) return null;
  try {
    const principal = await context.authenticate();
    if (!principal.scopes.includes("completions:run")) return null;
    const seen = request.headers.get("last-event-id") ?? searchParams.get("lastEventId");
    const input = JSON.parse(searchParams.get("input") ?? "");
    const parsed = WatchJobInput.parse(seen === null || seen === "" ? input : { ...input, lastEventId: seen });
    const stream = await context.useCases.jobs.watchFrames(principal, parsed);
    return stream === null ? null : new Response(stream, { headers });
  } catch {
    // tRPC meets the same and tells it.
    return null;
  }
}

const headers = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};
