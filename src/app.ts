import { type Context, Hono } from "hono";
import { type RequestContext, requestContext, type Told } from "./api/context.ts";
import { allowOrigin, isPreflight, preflight } from "./api/cors.ts";
import { missing } from "./api/health.ts";
import { hookDoor } from "./api/hooks.ts";
import { openaiDoor } from "./api/openai/door.ts";
import { openaiError } from "./api/openai/error.ts";
import { openapi } from "./api/openapi.ts";
import { sweepOnce } from "./api/sweep.ts";
import { trpcDoor } from "./api/trpc/door.ts";
import { trpcError } from "./api/trpc/error.ts";
import { limits } from "./contract/limits.ts";
import { AppError, toAppError } from "./core/errors.ts";
import { newId } from "./core/ids.ts";
import type { Env } from "./env.ts";
import { log, logFailure } from "./log.ts";

type App = { Bindings: Env; Variables: { context: RequestContext } };

/** Wires the doors: a request id for all, one context per request, cross-origin headers, and errors in each door's form. */
export function createApp(): Hono<App> {
  const app = new Hono<App>();
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.get("/openapi.json", (c) => c.json(openapi()));
  app.get("/readyz", async (c) => {
    const lacks = await missing(c.env);
    return lacks.length === 0 ? c.json({ status: "ready" }) : c.json({ status: "not ready", missing: lacks }, 503);
  });
  app.use(async (c, next) => {
    if (isPreflight(c.req.raw)) return preflight(c.req.raw);
    const requestId = newId("req");
    const waitUntil = (work: Promise<unknown>) => c.executionCtx.waitUntil(work);
    try {
      c.set("context", requestContext(c.req.raw, { env: c.env, requestId, waitUntil }));
    } catch (cause) {
      const message = "weir is not configured rightly: GET /readyz names what is wrong.";
      const retryAfterSeconds = limits.unavailableRetryAfterSeconds;
      const error = new AppError("unavailable", message, { cause, retryAfterSeconds });
      return refuse(c, error, { requestId, logError: () => logFailure(error, requestId) });
    }
    await next();
    const { headers } = c.res;
    headers.set("x-request-id", requestId);
    allowOrigin(headers, c.req.raw.headers.get("origin"), c.get("context").principal());
  });
  app.route("/v1", openaiDoor(contextOf));
  app.route("/hooks", hookDoor(contextOf));
  app.all("/trpc/*", (c) => trpcDoor(c.req.raw, c.get("context")));
  app.notFound((c) => refuse(c, new AppError("not_found", "There is no such route."), c.get("context")));
  app.onError((thrown, c) => refuse(c, toAppError(thrown), c.get("context")));
  return app;
}

/** An error in the form of the door that was knocked at. */
function refuse(c: Context, error: AppError, told: Told): Response {
  return c.req.path.startsWith("/trpc") ? trpcError(error, told) : openaiError(error, told);
}

function contextOf(c: Context): RequestContext {
  return c.get("context");
}

/** What is due every minute. Never rejects: what has failed is logged, and tried again by the next call. */
export async function onCron(env: Env): Promise<void> {
  try {
    await sweepOnce(env);
  } catch (cause) {
    log("sweep_failed", { cause });
  }
}
