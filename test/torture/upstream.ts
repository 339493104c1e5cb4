import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { deltasOf } from "./answers.ts";
import type { JobPlan } from "./plan.ts";

export interface ScriptedUpstream extends AsyncDisposable {
  url: string;
  /** Calls by a job's tag. */
  calls: ReadonlyMap<string, number>;
  /** Jobs with a call that met an outage. */
  struck: ReadonlySet<string>;
  /** Resets what is open, and every call for a while. */
  breakFor: (ms: number) => void;
}

/** The model that a fallback stands in for: it never answers. */
export const downModel = "torture-down";

/** Answers each job by its script; the job is known by its first message. */
export async function startScriptedUpstream(jobs: readonly JobPlan[]): Promise<ScriptedUpstream> {
  const plans = new Map(jobs.map((job) => [job.tag, job]));
  const calls = new Map<string, number>();
  const answered = new Map<string, number>();
  const struck = new Set<string>();
  const open = new Map<ServerResponse, string>();
  let brokenUntilMs = 0;

  const server = createServer(async (request, response) => {
    const { model, tag } = await asked(request);
    const plan = plans.get(tag);
    if (!plan) return void response.writeHead(404).end();
    calls.set(tag, (calls.get(tag) ?? 0) + 1);
    open.set(response, tag);
    response.once("close", () => open.delete(response));
    if (performance.now() < brokenUntilMs) return strike(response);
    if (model === downModel) return refuse(response, { status: 503, retryAfter: null });
    const call = (answered.get(tag) ?? 0) + 1;
    answered.set(tag, call);
    const { script } = plan;
    const status = script.refusals[call - 1];
    if (status !== undefined) return refuse(response, { status, retryAfter: script.retryAfter });
    await stream(response, plan, call);
  });

  function strike(response: ServerResponse): void {
    struck.add(open.get(response) ?? "");
    response.socket?.resetAndDestroy();
  }

  // One closed as idle just when it is used again would be an outage that nobody has noted.
  server.keepAliveTimeout = 0;
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 });
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls,
    struck,
    breakFor(ms) {
      brokenUntilMs = performance.now() + ms;
      for (const response of open.keys()) strike(response);
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function asked(request: IncomingMessage): Promise<{ model: string; tag: string }> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece);
  const { model, messages } = JSON.parse(Buffer.concat(pieces).toString());
  return { model, tag: messages[0].content };
}

function refuse(response: ServerResponse, { status, retryAfter }: { status: number; retryAfter: number | null }): void {
  response.writeHead(status, {
    "content-type": "application/json",
    ...(retryAfter !== null && { "retry-after": String(retryAfter) }),
  });
  response.end(JSON.stringify({ error: { message: `scripted ${status}` } }));
}

async function stream(response: ServerResponse, { script, tag }: JobPlan, call: number): Promise<void> {
  const deltas = deltasOf(script, tag, call);
  const half = script.half === "goes on" ? deltas.length : Math.ceil(deltas.length / 2);
  response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
  await pause(script.firstMs);
  for (const delta of deltas.slice(0, half)) {
    if (response.destroyed) return;
    send(response, { choices: [{ index: 0, delta, finish_reason: null }] });
    await pause(script.everyMs);
  }
  if (script.half === "stalls") return;
  if (script.half === "is cut") return void response.socket?.resetAndDestroy();
  send(response, {
    choices: [{ index: 0, delta: {}, finish_reason: script.kind === "tools" ? "tool_calls" : "stop" }],
  });
  send(response, {
    choices: [],
    usage: { prompt_tokens: 1, completion_tokens: deltas.length, total_tokens: 1 + deltas.length },
  });
  response.end("data: [DONE]\n\n");
}

function send(response: ServerResponse, chunk: Record<string, unknown>): void {
  const whole = { id: "chatcmpl-torture", object: "chat.completion.chunk", created: 1, model: "torture", ...chunk };
  response.write(`data: ${JSON.stringify(whole)}\n\n`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
