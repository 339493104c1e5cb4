import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { Env } from "../../src/env.ts";
import worker from "../../src/index.ts";

export type Call = {
  secret?: string;
  /** Sent as JSON unless it is a string or bytes. */
  body?: unknown;
  method?: string;
  headers?: Record<string, string>;
  env?: Partial<Env>;
};

export type Called = {
  response: Response;
  /** Waits for what the Worker goes on doing after its answer: the run is on record then. */
  settled: () => Promise<void>;
};

export const upstreamUrl = "http://upstream.test/v1";
/** 32 bytes in base64. */
const encryptionKey = btoa("a key of thirty-two bytes, no mo");

/** Calls the Worker as a client would, with an upstream configured at `upstreamUrl` and the simulator on. */
export async function callWeir(path: string, call: Call = {}): Promise<Called> {
  const { secret, body, headers: given = {} } = call;
  const headers = new Headers({ ...(body !== undefined && { "content-type": "application/json" }), ...given });
  if (secret) headers.set("authorization", `Bearer ${secret}`);
  const raw = typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream;
  const request = new Request(`https://weir.example.com${path}`, {
    method: call.method ?? (body === undefined ? "GET" : "POST"),
    headers,
    ...(body !== undefined && { body: raw ? body : JSON.stringify(body) }),
  });
  const context = createExecutionContext();
  const bindings: Env = {
    ...env,
    UPSTREAM_BASE_URL: upstreamUrl,
    UPSTREAM_API_KEY: "upstream-secret-key",
    ENCRYPTION_KEY: encryptionKey,
    SIMULATOR: "on",
    // One call and no circuit, so that each test sees the upstream it scripts; retries have tests of their own.
    UPSTREAM_ATTEMPTS: "1",
    UPSTREAM_CIRCUIT_FAILURES: "1000000",
    ...call.env,
  };
  const response = await worker.fetch(request as never, bindings, context);
  return { response, settled: () => waitOnExecutionContext(context) };
}

/** POST /v1/chat/completions with one user message and whatever else is given. */
export function chat(
  secret: string,
  body: Record<string, unknown> = {},
  more: Omit<Call, "body" | "secret"> = {},
): Promise<Called> {
  const whole = { model: "test-model", messages: [{ role: "user", content: "Hi" }], ...body };
  return callWeir("/v1/chat/completions", { secret, body: whole, ...more });
}

export type Sent = { url: string; headers: Headers; body: Record<string, unknown>; signal: AbortSignal };

/** Stands where the network was: answers every upstream call as the test says and keeps what was sent. */
export function scriptUpstream(answer: (sent: Sent) => Response | Promise<Response>): Sent[] & Disposable {
  const network = globalThis.fetch;
  const calls: Sent[] = [];
  globalThis.fetch = async (input, init) => {
    const request = new Request(input, init);
    const { url, headers, signal } = request;
    const sent = { url, headers, signal, body: (await request.json()) as Record<string, unknown> };
    calls.push(sent);
    // As fetch does, an aborted call rejects whatever the upstream goes on doing.
    const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    aborted.catch(() => {});
    return Promise.race([answer(sent), aborted]);
  };
  return Object.assign(calls, {
    [Symbol.dispose]: () => {
      globalThis.fetch = network;
    },
  });
}

/** A whole answer as the reference upstream gives it. */
export function completion(content: string, extra: Record<string, unknown> = {}): Response {
  return Response.json({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1_759_080_972,
    model: "vendor/answered",
    choices: [
      {
        index: 0,
        logprobs: null,
        finish_reason: "stop",
        native_finish_reason: "end",
        message: { role: "assistant", content, refusal: null, reasoning: "because" },
      },
    ],
    usage: { prompt_tokens: 9, completion_tokens: 72, total_tokens: 81, prompt_tokens_details: null },
    ...extra,
  });
}

/** An event stream of the given texts, each sent as one chunk of bytes. */
export function events(...texts: (string | Uint8Array)[]): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const text of texts) controller.enqueue(typeof text === "string" ? new TextEncoder().encode(text) : text);
      controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

export const event = (data: unknown) => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;

export const delta = (content: string, finish: string | null = null) =>
  event({
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 1,
    model: "vendor/answered",
    choices: [{ index: 0, delta: { content }, finish_reason: finish }],
  });

export const usageEvent = event({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } });

type RunRow = Record<string, string | number | null>;

/** The run's row as it is stored. */
export async function storedRun(id: string | null): Promise<RunRow | null> {
  return env.DB.prepare("SELECT * FROM runs WHERE id = ?").bind(id).first<RunRow>();
}

/** The run's contents as they are stored. */
export async function storedContents(id: string | null): Promise<{ request: string; answer: string } | null> {
  return env.DB.prepare("SELECT c.* FROM run_contents c JOIN runs r USING (seq) WHERE r.id = ?").bind(id).first();
}

/** What a procedure of tRPC has answered. */
export type Answered<Data> = {
  status: number;
  data: Data;
  error: { code: string; param: string | null; message: string; details?: Record<string, unknown> } | null;
};

/** The answer of a call to a procedure, whatever it is, once all that follows from the call has settled. */
export async function answerOf<Data>({
  response,
  settled,
}: Awaited<ReturnType<typeof callWeir>>): Promise<Answered<Data>> {
  const { result, error } = (await response.json()) as {
    result?: { data: Data };
    error?: { message: string; data: { weir: { code: string; param: string | null } } };
  };
  await settled();
  return {
    status: response.status,
    data: result?.data as Data,
    error: error ? { ...error.data.weir, message: error.message } : null,
  };
}
