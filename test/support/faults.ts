import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { Env } from "../../src/env.ts";
import {
  type Called,
  chat,
  completion,
  delta,
  event,
  events,
  scriptUpstream,
  storedContents,
  storedRun,
} from "./call.ts";

/** Retries are on and quick, and no circuit interferes. */
export const retrying: Partial<Env> = {
  UPSTREAM_ATTEMPTS: "3",
  UPSTREAM_RETRY_PAUSE_MS: "1",
  UPSTREAM_CIRCUIT_FAILURES: "1000000",
};

/** An upstream's text that quotes its address, its host, weir's key there, and the names of its owner. */
export const indiscreet =
  "no: see http://upstream.test/v1/limits or https://up.example/x (host upstream.test), key upstream-secret-key, " +
  "sk-abcdef123456, Bearer abc.def, organization acme-inc, org-Zz99Yy88";

/** What the one above tells, and what a cause may tell. */
const identity = /upstream\.test|up\.example|upstream-secret-key|sk-abcdef|abc\.def|acme-inc|org-Zz99|10\.1\.2\.3/;

export const done = event("[DONE]");
export const finish = delta("", "stop");

/** A good answer, in the form that was asked for. */
export const good = (stream: boolean, text = "ok"): Response =>
  stream ? events(delta(text), finish, done) : completion(text);

/** A refusal as upstreams write it, quoting what it should not. */
export const refused = (status: number, headers: Record<string, string> = {}, fields: object = {}): Response =>
  Response.json({ error: { message: indiscreet, param: "top_p", code: "bad", ...fields } }, { status, headers });

type Attempt = { model: string; upstream: string; status: number | null; error: string | null; startedMs: number };

export type Outcome = {
  status: number;
  headers: Headers;
  /** The whole body as the client got it. */
  text: string;
  /** The envelope: the body's, or that of a stream's last event. */
  error: { message: string; type: string; param: string | null; code: string } | undefined;
  /** Whether the client saw `[DONE]`. */
  done: boolean;
  run: Awaited<ReturnType<typeof storedRun>>;
  attempts: Attempt[];
  /** The answer as far as it is on record. */
  answer: { content: string | null; reasoning: string | null; toolCalls: unknown[] } | null;
};

/** Reads an answer to its end, waits for its record, and sees to it that nothing tells who the upstream is. */
export async function outcomeOf({ response, settled }: Called): Promise<Outcome> {
  const text = await response.text();
  await settled();
  const { status, headers } = response;
  const id = headers.get("x-weir-run-id");
  const run = await storedRun(id);
  const contents = await storedContents(id);
  for (const told of [text, JSON.stringify([...headers]), String(run?.["error_message"]), String(run?.["attempts"])])
    expect(told).not.toMatch(identity);
  return {
    status,
    headers,
    text,
    error: errorOf(text),
    done: /^data: ?\[DONE\]/m.test(text),
    run,
    attempts: JSON.parse(String(run?.["attempts"] ?? "[]")),
    answer: contents && JSON.parse(contents.answer),
  };
}

function errorOf(text: string): Outcome["error"] {
  const last = text.startsWith("{") ? text : (text.trimEnd().split("\n\n").at(-1) ?? "").replace(/^data: /, "");
  try {
    return JSON.parse(last).error;
  } catch {
    return undefined;
  }
}

/** What a stream that failed after bytes went out looks like: its text, an error event, no `[DONE]`, a failed run. */
export function expectCut(outcome: Outcome, text: string, code = "upstream_error"): void {
  expect(outcome.status).toBe(200);
  expect(outcome.text.startsWith(text)).toBe(true);
  expect(outcome.text.slice(text.length)).toMatch(/^data: \{"error":.*\}\n\n$/);
  expect(outcome.error?.type).toBe("api_error");
  expect(outcome.done).toBe(false);
  expectFailed(outcome, code);
}

/** What the record of a failed run says: one owner, one end, nothing invented. */
export function expectFailed({ run, attempts }: Outcome, code: string): void {
  expect(run).toMatchObject({ status: "failed", error_code: code });
  expect(run?.["usage_source"]).toBe(run?.["prompt_tokens"] === null ? "unknown" : "upstream");
  expect(attempts.at(-1)?.error).toBe(code);
}

/** Whatever happened before, the next request is served. */
export async function expectNextServed(secret: string): Promise<void> {
  using _calls = scriptUpstream(() => completion("still here"));
  const next = await outcomeOf(await chat(secret));
  expect(next.status).toBe(200);
  expect(next.run).toMatchObject({ status: "succeeded", usage_source: "upstream" });
}

/** The day's sums of a project. */
export async function usageOf(projectId: string): Promise<{ runs: number; tokens: number }> {
  const sums = await env.DB.prepare(
    "SELECT coalesce(sum(runs), 0) runs, coalesce(sum(completion_tokens), 0) tokens FROM usage_daily WHERE project_id = ?",
  )
    .bind(projectId)
    .first<{ runs: number; tokens: number }>();
  return sums ?? { runs: 0, tokens: 0 };
}

/** A stream whose bytes the test sends when it likes. */
export function controlled() {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start(given) {
      controller = given;
    },
    cancel() {
      cancelled = true;
    },
  });
  return {
    response: new Response(body, { headers: { "content-type": "text/event-stream" } }),
    /** What is sent to nobody is lost. */
    send: (text: string) => {
      if (!cancelled) controller?.enqueue(new TextEncoder().encode(text));
    },
    close: () => controller?.close(),
    fail: (reason: unknown) => controller?.error(reason),
    get cancelled() {
      return cancelled;
    },
  };
}
