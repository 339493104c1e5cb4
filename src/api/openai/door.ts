import { type Context, Hono } from "hono";
import { ChatCompletionRequest } from "../../contract/completions.ts";
import type { Model } from "../../contract/models.ts";
import { fromChatRequest } from "../../core/completionRequest.ts";
import { AppError, toAppError } from "../../core/errors.ts";
import { idempotencyKey, type KeptAnswer } from "../../core/idempotency.ts";
import { readJsonObject } from "../body.ts";
import type { RequestContext } from "../context.ts";
import { openaiError } from "./error.ts";
import { allowed, parseBody, refuseMethod } from "./request.ts";
import { runInBackground, runRoutes } from "./runs.ts";

/** The OpenAI-compatible door, mounted on /v1. */
export function openaiDoor(contextOf: (c: Context) => RequestContext): Hono {
  const door = new Hono();

  door.post("/chat/completions", async (c) => {
    const context = contextOf(c);
    const principal = await allowed(context, "completions:run");
    const raw = await readJsonObject(c.req.raw);
    if (raw["background"] === true) return runInBackground(context, principal, c.req.raw.headers, raw);
    const request = fromChatRequest(parseBody(ChatCompletionRequest, raw));
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

  door.route("/runs", runRoutes(contextOf));
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

function openaiModel(model: Model) {
  const { id, upstream: owned_by, name, contextTokens: context_length } = model;
  return { id, object: "model", created: 0, owned_by, name, context_length };
}
