import { createTRPCClient, httpBatchLink } from "@trpc/client";
import { expect } from "vitest";
import type { AppRouter } from "../../src/api/trpc/router.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { chunk, type Exchange, sendStream, startUpstream, type Upstream } from "../support/upstream.ts";

export const key = "upstream-secret-key";

/** Settings under which failures come soon: two quick attempts, no circuit. */
const settings = {
  UPSTREAM_API_KEY: key,
  UPSTREAM_ATTEMPTS: "2",
  UPSTREAM_RETRY_PAUSE_MS: "1",
  UPSTREAM_CIRCUIT_FAILURES: "1000000",
};

export type Answered = { status: number; headers: Headers; text: string; id: string };

/** The started server before an upstream whose next answers the test plays at the socket. */
export interface FaultBench extends AsyncDisposable {
  server: TestServer;
  upstream: Upstream;
  client: ReturnType<typeof createTRPCClient<AppRouter>>;
  /** From here on the upstream answers so. */
  play: (answer: (exchange: Exchange) => unknown) => void;
  /** One completion, not yet read. */
  post: (body?: Record<string, unknown>, signal?: AbortSignal) => Promise<Response>;
  /** One completion read to its end; nothing in it may tell who the upstream is. */
  ask: (body?: Record<string, unknown>) => Promise<Answered>;
  /** The run's record once it is settled. */
  settled: (id: string) => Promise<Awaited<ReturnType<FaultBench["client"]["runs"]["get"]["query"]>>>;
}

export async function startFaultBench(env: Record<string, string> = {}): Promise<FaultBench> {
  let answer: (exchange: Exchange) => unknown = ({ response }) => sendStream(response, ["ok"]);
  const upstream = await startUpstream((exchange) => answer(exchange));
  const server = await startTestServer({ env: { UPSTREAM_BASE_URL: upstream.url, ...settings, ...env } });
  const authorization = `Bearer ${server.secretKey}`;
  const client = createTRPCClient<AppRouter>({
    links: [httpBatchLink({ url: `${server.url}/trpc`, headers: { authorization } })],
  });
  const post = (body: Record<string, unknown> = {}, signal?: AbortSignal) =>
    fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization, "content-type": "application/json" },
      body: JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "Hi" }], ...body }),
      ...(signal && { signal }),
    });
  return {
    server,
    upstream,
    client,
    play: (next) => {
      answer = next;
    },
    post,
    ask: async (body) => {
      const response = await post(body);
      const { status, headers } = response;
      const text = await response.text();
      const told = text + JSON.stringify([...headers]);
      expect(told).not.toContain(new URL(upstream.url).host);
      expect(told).not.toContain(key);
      return { status, headers, text, id: headers.get("x-weir-run-id") ?? "" };
    },
    settled: async (id) => {
      const get = () => client.runs.get.query({ id });
      await expect.poll(async () => (await get()).run.status, { timeout: 10_000 }).not.toBe("running");
      return get();
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

export const event = (data: unknown) => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;

/** A stream's events: the text, its finish, `[DONE]`. */
export const part = event(chunk({ content: "part 你好" }));
export const whole = part + event(chunk({}, "stop")) + event("[DONE]");

/** A completion as one body. */
export const completion = JSON.stringify({
  id: "chatcmpl-test",
  object: "chat.completion",
  created: 1,
  model: "test-model",
  choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: "whole 你好" } }],
});

/** The head of an answer, as bytes on the wire. */
export function head(headers: Record<string, string | number>, status = "200 OK"): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `${[`HTTP/1.1 ${status}`, ...lines].join("\r\n")}\r\n\r\n`;
}

export const eventStream = { "content-type": "text/event-stream" };
export const chunkedStream = { ...eventStream, "transfer-encoding": "chunked" };
export const json = { "content-type": "application/json" };

/** Bytes in one chunk of HTTP's framing. */
export function framed(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

const told = (text: string) =>
  JSON.parse(
    text
      .trimEnd()
      .split("\n\n")
      .at(-1)
      ?.replace(/^data: /, "") ?? "",
  ).error;

/** A stream that was cut: its text, an error event, no `[DONE]`, a failed run with the partial text, one call. */
export async function expectCut(bench: FaultBench): Promise<void> {
  const calls = bench.upstream.requests.length;
  const { status, text, id } = await bench.ask();
  expect(status).toBe(200);
  expect(text.startsWith(part)).toBe(true);
  expect(told(text)).toMatchObject({ type: "api_error", code: "upstream_error" });
  expect(text).not.toContain("[DONE]");
  const { run, contents } = await bench.settled(id);
  expect(run).toMatchObject({ status: "failed", errorCode: "upstream_error", usage: null, usageSource: "unknown" });
  expect(run.attempts).toHaveLength(1);
  expect(contents?.content).toBe("part 你好");
  expect(bench.upstream.requests).toHaveLength(calls + 1);
}

/** An answer that is told by its status, and a failed run. */
export async function expectRefused(bench: FaultBench, body: Record<string, unknown>, calls?: number): Promise<void> {
  const before = bench.upstream.requests.length;
  const { status, text, id } = await bench.ask(body);
  expect(status).toBe(502);
  expect(told(text)).toMatchObject({ type: "api_error", code: "upstream_error" });
  expect((await bench.settled(id)).run).toMatchObject({ status: "failed", errorCode: "upstream_error" });
  if (calls !== undefined) expect(bench.upstream.requests).toHaveLength(before + calls);
}

/** Whatever was on the wire before, the next request is served. */
export async function expectNextServed(bench: FaultBench): Promise<void> {
  const bytes = head({ ...json, "content-length": Buffer.byteLength(completion) }) + completion;
  bench.play(({ socket }) => socket.write(bytes));
  expect(await bench.ask({ stream: false })).toMatchObject({ status: 200, text: completion });
}
