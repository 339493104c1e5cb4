import { type Context, Hono } from "hono";
import { ChatCompletionRequest } from "../contract/completions.ts";
import type { Model } from "../contract/models.ts";
import type { Scope } from "../contract/scopes.ts";
import { fromChatRequest } from "../core/completionRequest.ts";
import { AppError, errorEnvelope, invalidRequest, toAppError } from "../core/errors.ts";
import { idempotencyKey, type KeptAnswer } from "../core/idempotency.ts";
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
    const raw = await readJsonObject(c.req.raw);
    const request = fromChatRequest(parseBody(raw));
    const relay = () => context.useCases.completions.relay(principal, request, context.signal);
    // A stream is not kept: clients that set the header on every call get it, unprotected.
    const key = request.stream ? null : idempotencyKey(c.req.raw.headers.get("idempotency-key"));
    if (key === null) return relayed(await relay());
    const asked = { key, method: c.req.method, path: c.req.path, body: raw };
    const once = await context.useCases.idempotency.once(principal, asked, async () => kept(await relay()));
    return once.replayed ? replayed(once.answer) : relayed(once.answer.relayed);
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

type Relayed = Awaited<ReturnType<RequestContext["useCases"]["completions"]["relay"]>>;

function relayed(answer: Relayed): Response {
  const type = answer.kind === "whole" ? "application/json" : "text/event-stream; charset=utf-8";
  return new Response(answer.body, {
    headers: {
      "content-type": type,
      "cache-control": "no-cache, no-transform",
      "x-weir-run-id": answer.runId,
      "x-weir-model": answer.model,
      ...answer.headers,
    },
  });
}

/** A whole answer in the form that is kept for replays. */
function kept(answer: Relayed) {
  if (answer.kind !== "whole") throw new Error("only whole answers are kept");
  const { body, runId, model } = answer;
  return { status: 200, body, runId, model, relayed: answer };
}

function replayed({ status, body, runId, model }: KeptAnswer): Response {
  return new Response(body, {
    status,
    headers: {
      "content-type": "application/json",
      "cache-control": "no-cache, no-transform",
      "idempotency-replayed": "true",
      ...(runId !== null && { "x-weir-run-id": runId }),
      ...(model !== null && { "x-weir-model": model }),
    },
  });
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
  const headers = new Headers({ "content-type": "application/json", ...error.headers });
  if (error.retryAfterSeconds !== undefined) headers.set("retry-after", String(error.retryAfterSeconds));
  const { runId, allow } = error.details ?? {};
  if (typeof runId === "string") headers.set("x-weir-run-id", runId);
  if (typeof allow === "string") headers.set("allow", allow);
  return new Response(JSON.stringify(errorEnvelope(error)), { status: error.status, headers });
}
