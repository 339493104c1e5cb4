import { type ErrorEnvelope, errorTable } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import type { Model } from "../contract/models.ts";
import { AppError, errorEnvelope } from "../core/errors.ts";
import { bounded, type Reply, type Wire } from "./simulator/answer.ts";
import { sleep } from "./simulator/clock.ts";
import { completionBody } from "./simulator/completion.ts";
import { readCall, type SimCall } from "./simulator/request.ts";
import { structured } from "./simulator/schema.ts";
import { script } from "./simulator/script.ts";
import { eventStream } from "./simulator/stream.ts";
import { echo, reasoning } from "./simulator/texts.ts";
import { timeline } from "./simulator/timeline.ts";
import { tools } from "./simulator/tools.ts";

type Simulated = { name: string; capabilities: Model["capabilities"]; reply: (call: SimCall) => Reply };

const simulated = new Map<string, Simulated>([
  ["sim/echo", { name: "Simulator: echo", capabilities: ["text"], reply: echo }],
  ["sim/script", { name: "Simulator: script", capabilities: ["text", "reasoning", "tools"], reply: script }],
  ["sim/reasoning", { name: "Simulator: reasoning", capabilities: ["text", "reasoning"], reply: reasoning }],
  ["sim/schema", { name: "Simulator: schema", capabilities: ["text", "json_schema"], reply: structured }],
  ["sim/tools", { name: "Simulator: tools", capabilities: ["text", "tools"], reply: tools }],
]);

/** The simulator's part of the catalogue; its answers cost nothing. */
export const simulatorModels: Model[] = [...simulated].map(([id, { name, capabilities }]) => ({
  id,
  name,
  upstream: "sim",
  capabilities,
  contextTokens: null,
  price: { inputMicrosPerMillion: 0, outputMicrosPerMillion: 0, currency: "CNY" },
  simulated: true,
}));

/** Header of a request: milliseconds between tokens, 0 for as fast as possible. */
const paceHeader = "x-sim-pace-ms";

/**
 * An upstream without a model behind it, in the shape of `fetch`: `POST …/chat/completions` and `GET …/models`
 * below any base URL, any Authorization. Answers are decided by the request alone (or its `seed`), `created`
 * apart, and are real responses: JSON, or a stream of server-sent events at a model's pace.
 *
 * Errors of the caller are responses in OpenAI's envelope. The promise rejects as fetch's does: with the
 * signal's reason once `request.signal` aborts, with a `TypeError` when a script refuses the connection.
 * The caller owns the body; cancelling it or aborting the signal leaves no timer behind.
 */
export async function simulatorFetch(request: Request): Promise<Response> {
  request.signal.throwIfAborted();
  try {
    return await route(request);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return Response.json(errorEnvelope(error), { status: error.status });
  }
}

async function route(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname.endsWith("/chat/completions")) return complete(allowing("POST", request));
  if (pathname.endsWith("/models")) return models(allowing("GET", request));
  throw new AppError("not_found", `Unknown request URL: ${request.method} ${pathname}`);
}

function allowing(method: string, request: Request): Request {
  if (request.method === method) return request;
  throw new AppError("method_not_allowed", `Use ${method} here, not ${request.method}.`);
}

function models(_request: Request): Response {
  const data = [...simulated.keys()].map((id) => ({ id, object: "model", created: 0, owned_by: "weir-simulator" }));
  return Response.json({ object: "list", data });
}

async function complete(request: Request): Promise<Response> {
  const { signal } = request;
  const paceMs = askedPaceMs(request);
  const call = await readCall(request);
  const { model } = call.body;
  const found = simulated.get(model);
  if (!found) {
    const details = { upstreamCode: "model_not_found" };
    throw new AppError("not_found", `The model \`${model}\` does not exist`, { param: "model", details });
  }
  const { answers: whole, wire } = found.reply(call);
  const answers = whole.map((answer) => bounded(answer, call));
  await sleep(wire.headersMs, signal);
  if (wire.refused) throw new TypeError("The simulated connection was refused.");
  const fault = faultResponse(wire, call);
  if (fault) return fault;
  const beats = timeline(answers, wire, call, paceMs);
  const play = { answers, wire, call, signal };
  if (!call.body.stream) return new Response(await completionBody(beats, play), { headers: json });
  return new Response(eventStream(beats, play), { headers: eventStreamHeaders });
}

const json = { "content-type": "application/json" };
const eventStreamHeaders = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" };

function askedPaceMs(request: Request): number | null {
  const given = request.headers.get(paceHeader);
  if (given === null) return null;
  const paceMs = /^\d+(\.\d+)?$/.test(given) ? Number(given) : Number.NaN;
  if (paceMs <= limits.maxSimulatedPauseMs) return paceMs;
  throw new AppError("invalid_request", `${paceHeader} must be milliseconds, at most ${limits.maxSimulatedPauseMs}.`);
}

/** A response that is no completion, when the script asked for one. */
function faultResponse({ status, page }: Wire, call: SimCall): Response | null {
  const code = status?.code ?? 200;
  const headers = new Headers(call.body.stream && !status ? eventStreamHeaders : json);
  if (status?.retryAfter) headers.set("retry-after", status.retryAfter);
  if (code >= 300 && code < 400) headers.set("location", "https://redirect.invalid/v1/chat/completions");
  if (page === "empty" || code === 304) return new Response(null, { status: code, headers });
  if (page === "html") {
    headers.set("content-type", "text/html; charset=utf-8");
    return new Response("<!doctype html>\n<html><body><h1>A simulated page</h1></body></html>\n", {
      status: code,
      headers,
    });
  }
  if (!status) return null;
  const type = Object.values(errorTable).find((row) => row.status === code)?.openai ?? "api_error";
  const envelope: ErrorEnvelope = { error: { message: status.message, type, param: null, code: "simulated" } };
  return new Response(JSON.stringify(envelope), { status: code, headers });
}
