import { type Context, Hono } from "hono";
import { limits } from "../../contract/limits.ts";
import { BackgroundChatRequest, EventNumber } from "../../contract/openaiRuns.ts";
import { AppError } from "../../core/errors.ts";
import { idempotencyKey } from "../../core/idempotency.ts";
import type { RunEventsInput } from "../../core/openaiRuns.ts";
import type { Principal } from "../../core/principal.ts";
import type { RequestContext } from "../context.ts";
import { eventStream } from "./eventStream.ts";
import { allowed, parseBody, refuseMethod } from "./request.ts";

/** POST /v1/chat/completions with `background: true`: 202 and the run, or with `stream: true` its events at once. */
export async function runInBackground(
  context: RequestContext,
  principal: Principal,
  headers: Headers,
  raw: Record<string, unknown>,
): Promise<Response> {
  const body = parseBody(BackgroundChatRequest, raw);
  const key = idempotencyKey(headers.get("idempotency-key"));
  const accepted = await context.useCases.openaiRuns.submit(principal, body, key);
  const { id: runId, model } = accepted.run;
  const told = { location: `/v1/runs/${runId}`, ...accepted.headers };
  if (body.stream) return streamed(context, principal, { runId, model, afterSeq: 0 }, told);
  return Response.json(accepted.run, { status: 202, headers: { "x-weir-run-id": runId, ...told } });
}

/** The runs of the OpenAI door, mounted on /v1/runs. */
export function runRoutes(contextOf: (c: Context) => RequestContext): Hono {
  const routes = new Hono();

  routes.get("/:id", async (c) => {
    const context = contextOf(c);
    const principal = await allowed(context, "completions:run");
    return c.json(await context.useCases.openaiRuns.find(principal, runIdOf(c), context.signal));
  });

  routes.get("/:id/events", async (c) => {
    const context = contextOf(c);
    const principal = await allowed(context, "completions:run");
    return streamed(context, principal, { runId: runIdOf(c), afterSeq: lastSeen(c) }, {});
  });

  routes.post("/:id/cancel", async (c) => {
    const context = contextOf(c);
    const principal = await allowed(context, "completions:run");
    return c.json(await context.useCases.openaiRuns.cancel(principal, runIdOf(c), context.signal));
  });

  routes.all("/:id", (c) => refuseMethod(c, "GET"));
  routes.all("/:id/events", (c) => refuseMethod(c, "GET"));
  routes.all("/:id/cancel", (c) => refuseMethod(c, "POST"));
  return routes;
}

async function streamed(
  context: RequestContext,
  principal: Principal,
  input: RunEventsInput,
  headers: Readonly<Record<string, string>>,
): Promise<Response> {
  const left = new AbortController();
  const signal = AbortSignal.any([context.signal, left.signal]);
  const events = await context.useCases.openaiRuns.events(principal, input, signal);
  return new Response(
    eventStream(events, () => left.abort()),
    {
      headers: {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        "x-weir-run-id": input.runId,
        ...headers,
      },
    },
  );
}

function runIdOf(c: Context): string {
  const id = c.req.param("id") ?? "";
  // No id of ours: no object need be asked for it.
  if (id.length > limits.maxNameChars) throw new AppError("not_found", "There is no such run.", { param: "id" });
  return id;
}

/** The header is newer than the query: a browser that reconnects repeats its address and adds the header. */
function lastSeen(c: Context): number {
  const header = c.req.header("last-event-id");
  const [param, text] = header ? ["Last-Event-ID", header] : ["after", c.req.query("after") ?? "0"];
  const parsed = EventNumber.safeParse(text);
  if (!parsed.success) throw new AppError("invalid_request", `${param}: must be the id of an event`, { param });
  return Number(parsed.data);
}
