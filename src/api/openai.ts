import { type Context, Hono } from "hono";
import { ChatCompletionRequest } from "../contract/completions.ts";
import type { Model } from "../contract/models.ts";
import type { Scope } from "../contract/scopes.ts";
import { fromChatRequest } from "../core/completionRequest.ts";
import { AppError, errorEnvelope, invalidRequest, toAppError } from "../core/errors.ts";
import type { Principal } from "../core/principal.ts";
import { readJsonObject } from "./body.ts";
import type { RequestContext, Told } from "./context.ts";

/** The OpenAI-compatible door, mounted on /v1. */
export function openaiDoor(contextOf: (c: Context) => RequestContext): Hono {
  const door = new Hono();

  async function allowed(context: RequestContext, scope: Scope): Promise<Principal> {
    const principal = await context.authenticate();
    if (!principal.scopes.includes(scope)) throw new AppError("forbidden", `This key lacks the scope ${scope}.`);
    return principal;
  }

  door.post("/chat/completions", async (c) => {
    const context = contextOf(c);
    const principal = await allowed(context, "completions:run");
    const body = parseBody(await readJsonObject(c.req.raw));
    const answer = await context.useCases.completions.relay(principal, fromChatRequest(body), context.signal);
    const headers = {
      "x-weir-run-id": answer.runId,
      "x-weir-model": answer.model,
      "cache-control": "no-cache, no-transform",
    };
    if (answer.kind === "whole") return c.body(answer.body, 200, { ...headers, "content-type": "application/json" });
    return c.body(answer.body, 200, { ...headers, "content-type": "text/event-stream; charset=utf-8" });
  });

  door.get("/models", async (c) => {
    const context = contextOf(c);
    const { items } = await context.useCases.models.list(await allowed(context, "completions:run"));
    return c.json({ object: "list", data: items.map(openaiModel) });
  });

  door.get("/models/:id{.+}", async (c) => {
    const context = contextOf(c);
    const { items } = await context.useCases.models.list(await allowed(context, "completions:run"));
    const model = items.find(({ id }) => id === c.req.param("id"));
    if (!model)
      throw new AppError("not_found", "There is no such model.", {
        param: "model",
        details: { upstreamCode: "model_not_found" },
      });
    return c.json(openaiModel(model));
  });

  door.all("/chat/completions", (c) => refuseMethod(c, "POST"));
  door.all("/models/:id{.+}?", (c) => refuseMethod(c, "GET"));
  door.notFound(() => {
    throw new AppError("not_found", "There is no such route.");
  });
  door.onError((thrown, c) => openaiError(toAppError(thrown), contextOf(c)));
  return door;
}

/** `null` counts as absent for the fields we know; the others are the upstream's to read. */
function parseBody(raw: Record<string, unknown>): ChatCompletionRequest {
  const known = ChatCompletionRequest.shape;
  const body = Object.fromEntries(Object.entries(raw).filter(([name, value]) => value !== null || !(name in known)));
  const parsed = ChatCompletionRequest.safeParse(body);
  if (!parsed.success) throw invalidRequest(parsed.error);
  return parsed.data;
}

function openaiModel(model: Model) {
  const { id, upstream: owned_by, name, contextTokens: context_length } = model;
  return { id, object: "model", created: 0, owned_by, name, context_length };
}

function refuseMethod(c: Context, allow: string): never {
  throw new AppError("method_not_allowed", `${c.req.method} is not answered here; use ${allow}.`, {
    details: { allow },
  });
}

/** OpenAI's envelope, with the run's id where one is on record. */
export function openaiError(error: AppError, context: Told): Response {
  context.logError(error);
  const headers = new Headers({ "content-type": "application/json" });
  if (error.retryAfterSeconds !== undefined) headers.set("retry-after", String(error.retryAfterSeconds));
  const { runId, allow } = error.details ?? {};
  if (typeof runId === "string") headers.set("x-weir-run-id", runId);
  if (typeof allow === "string") headers.set("allow", allow);
  return new Response(JSON.stringify(errorEnvelope(error)), { status: error.status, headers });
}
