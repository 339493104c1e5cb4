import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { pauseMs } from "../../src/core/retry.ts";
import { chat, event, events, scriptUpstream } from "../support/call.ts";
import { expectFailed, expectNextServed, good, outcomeOf, refused, retrying } from "../support/faults.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});
afterEach(async () => {
  vi.restoreAllMocks();
  await expectNextServed(secret);
});

const call = async (body: Record<string, unknown>, vars: Record<string, string> = {}) =>
  outcomeOf(await chat(secret, body, { env: { ...retrying, ...vars } }));

describe.each([false, true])("fault 1: a 429 with Retry-After (stream: %s)", (stream) => {
  const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toUTCString();

  it.each([
    ["seconds", () => "1", 1_000],
    // A date has no fractions: what is left of its second may be next to nothing.
    ["a date", () => inSeconds(2), 900],
    ["a date gone by", () => inSeconds(-60), 0],
    ["garbage", () => "soon", 0],
    ["a negative number", () => "-5", 0],
    ["nothing", () => undefined, 0],
  ])("of %s is waited for, then tried again before the first byte", async (_name, header, atLeastMs) => {
    const headers = header();
    using sent = scriptUpstream(() =>
      sent.length === 1 ? refused(429, headers === undefined ? {} : { "retry-after": headers }) : good(stream),
    );
    const { status, text, run, attempts } = await call({ stream });
    expect(status).toBe(200);
    expect(text).toContain("ok");
    expect(run).toMatchObject({ status: "succeeded", error_code: null });
    expect(attempts).toMatchObject([
      { status: 429, error: "rate_limited" },
      { status: 200, error: null },
    ]);
    const waitedMs = Number(attempts[1]?.startedMs) - Number(attempts[0]?.startedMs);
    expect(waitedMs).toBeGreaterThanOrEqual(atLeastMs);
    expect(waitedMs).toBeLessThan(atLeastMs + 1_500);
  });

  it.each([
    ["86400", String(limits.maxRetryAfterSeconds)],
    ["60", "60"],
    [inSeconds(86_400), String(limits.maxRetryAfterSeconds)],
    ["9".repeat(400), null],
  ])("of %s is longer than a caller is kept: relayed with Retry-After", async (header, told) => {
    using sent = scriptUpstream(() => refused(429, { "retry-after": header }));
    const outcome = await call({ stream });
    expect(outcome.status).toBe(429);
    if (told !== null) expect(outcome.headers.get("retry-after")).toBe(told);
    else expect(Number(outcome.headers.get("retry-after") ?? 1)).toBeLessThanOrEqual(limits.maxRetryAfterSeconds);
    if (told !== null) expect(sent).toHaveLength(1);
    expect(outcome.error).toMatchObject({ type: "rate_limit_error" });
    expectFailed(outcome, "rate_limited");
  });

  it("that does not end is relayed as 429 after a bounded number of attempts", async () => {
    using sent = scriptUpstream(() => refused(429));
    const outcome = await call({ stream });
    expect(outcome.status).toBe(429);
    expect(sent).toHaveLength(3);
    expect(outcome.attempts).toHaveLength(3);
    expectFailed(outcome, "rate_limited");
  });
});

it("fault 1: a 429 told as the first event of a stream is one too", async () => {
  using sent = scriptUpstream(() =>
    sent.length === 1 ? events(event({ error: { message: "slow down", code: 429 } })) : good(true),
  );
  expect((await call({ stream: true })).status).toBe(200);
  using always = scriptUpstream(() => events(event({ error: { message: "slow down", code: 429 } })));
  expect((await call({ stream: true })).status).toBe(429);
  expect(always).toHaveLength(3);
});

describe("fault 2: the pause between retries", () => {
  it("is drawn at random below a doubling, bounded limit", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 5_000 }), (tries, base) => {
        const pause = Number(pauseMs(tries, base, undefined));
        expect(pause).toBeGreaterThanOrEqual(0);
        expect(pause).toBeLessThanOrEqual(Math.min(base * 2 ** tries, limits.maxRetryPauseMs));
      }),
    );
    expect(new Set(Array.from({ length: 20 }, () => pauseMs(3, 200, undefined))).size).toBeGreaterThan(15);
  });

  it("is kept", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.99);
    using _sent = scriptUpstream(() => refused(500));
    const { attempts } = await call({}, { UPSTREAM_RETRY_PAUSE_MS: "100" });
    const [first, second, third] = attempts.map(({ startedMs }) => startedMs);
    expect(Number(second) - Number(first)).toBeGreaterThanOrEqual(195);
    expect(Number(third) - Number(second)).toBeGreaterThanOrEqual(390);
  });
});

describe.each([false, true])("fault 2: 500, 502, 503, 529 (stream: %s)", (stream) => {
  it.each([500, 502, 503, 529])("%i is tried again, and every attempt is on the run", async (status) => {
    using sent = scriptUpstream(() => (sent.length < 3 ? refused(status) : good(stream)));
    const outcome = await call({ stream });
    expect(outcome.status).toBe(200);
    expect(outcome.text).toContain("ok");
    expect(outcome.run).toMatchObject({ status: "succeeded", error_code: null });
    expect(outcome.attempts).toMatchObject([
      { status, error: "upstream_error", model: "test-model", upstream: "default" },
      { status, error: "upstream_error" },
      { status: 200, error: null },
    ]);
  });

  it.each([500, 502, 503, 529])("%i that lasts goes to the fallback model", async (status) => {
    using sent = scriptUpstream(({ body }) => (body["model"] === "second" ? good(stream) : refused(status)));
    const outcome = await call({ stream, fallbacks: ["second"] });
    expect(outcome.status).toBe(200);
    expect(outcome.headers.get("x-weir-model")).toBe("second");
    expect(sent.map(({ body }) => body["model"])).toEqual(["test-model", "test-model", "test-model", "second"]);
    expect(outcome.attempts).toHaveLength(4);
    expect(outcome.run).toMatchObject({ status: "succeeded", model_asked: "test-model" });
  });

  it.each([500, 502, 503, 529])("%i everywhere is upstream_error after bounded attempts", async (status) => {
    using sent = scriptUpstream(() => refused(status));
    const outcome = await call({ stream, fallbacks: ["second"] });
    expect(outcome.status).toBe(502);
    expect(outcome.error).toMatchObject({ type: "api_error" });
    expect(sent).toHaveLength(limits.maxAttempts);
    expect(outcome.attempts).toHaveLength(limits.maxAttempts);
    expectFailed(outcome, "upstream_error");
  });
});

describe.each([false, true])("fault 3: 401 and 403 from the upstream (stream: %s)", (stream) => {
  it.each([401, 402, 403])("%i is 502 at once, and the key is not echoed", async (status) => {
    using sent = scriptUpstream(() => refused(status));
    const outcome = await call({ stream });
    expect(outcome.status).toBe(502);
    expect(sent).toHaveLength(1);
    expect(outcome.error).toMatchObject({ type: "api_error", code: "upstream_error" });
    expect(outcome.headers.get("retry-after")).toBeNull();
    expect(outcome.attempts).toMatchObject([{ status, error: "upstream_error" }]);
    expectFailed(outcome, "upstream_error");
  });
});

describe.each([false, true])("fault 4: 400, 404 and 422 from the upstream (stream: %s)", (stream) => {
  it.each([
    [400, 400, "invalid_request"],
    [404, 404, "not_found"],
    [422, 400, "invalid_request"],
  ])("%i is passed on at once as the caller's %i, its message cleaned", async (status, ours, code) => {
    using sent = scriptUpstream(() => refused(status));
    const outcome = await call({ stream, fallbacks: ["second"] });
    expect(outcome.status).toBe(ours);
    expect(sent).toHaveLength(1);
    expect(outcome.error).toMatchObject({ type: "invalid_request_error", param: "top_p", code: "bad" });
    expect(outcome.error?.message).toMatch(/^no: see \[removed\]/);
    expect(outcome.attempts).toMatchObject([{ status, error: code }]);
    expectFailed(outcome, code);
  });
});

describe.each([false, true])("fault 5: a connection that cannot be made (stream: %s)", (stream) => {
  const causes = ["connect ECONNREFUSED 10.1.2.3:443", "getaddrinfo ENOTFOUND upstream.test", "TLS handshake failed"];

  it.each(causes)("%s is 502 after retries", async (cause) => {
    using sent = scriptUpstream(() => Promise.reject(new TypeError(cause)));
    const outcome = await call({ stream });
    expect(outcome.status).toBe(502);
    expect(sent).toHaveLength(3);
    expect(outcome.attempts).toMatchObject(Array(3).fill({ status: null, error: "upstream_error" }));
    expectFailed(outcome, "upstream_error");
  });

  it("is tried again", async () => {
    using sent = scriptUpstream(() => (sent.length === 1 ? Promise.reject(new TypeError("refused")) : good(stream)));
    const outcome = await call({ stream });
    expect(outcome.status).toBe(200);
    expect(outcome.attempts).toMatchObject([{ status: null, error: "upstream_error" }, { status: 200 }]);
  });
});

describe.each([false, true])("fault 6: slow headers (stream: %s)", (stream) => {
  it("are 504, the upstream is aborted, and the fallback would have been asked", async () => {
    using sent = scriptUpstream(() => new Promise(() => {}));
    const outcome = await call({ stream }, { UPSTREAM_HEADERS_TIMEOUT_MS: "80" });
    expect(outcome.status).toBe(504);
    expect(outcome.error?.code).toBe("upstream_timeout");
    expect(sent).toHaveLength(1);
    expect(sent[0]?.signal.aborted).toBe(true);
    expectFailed(outcome, "upstream_timeout");
    using second = scriptUpstream(({ body }) => (body["model"] === "second" ? good(stream) : new Promise(() => {})));
    expect((await call({ stream, fallbacks: ["second"] }, { UPSTREAM_HEADERS_TIMEOUT_MS: "80" })).status).toBe(200);
    expect(second[0]?.signal.aborted).toBe(true);
  });
});

describe("fault 6: silence before the first token", () => {
  const silent = (...first: string[]) =>
    new Response(
      new ReadableStream<Uint8Array>({
        start: (controller) => {
          for (const text of first) controller.enqueue(new TextEncoder().encode(text));
        },
      }),
      { headers: { "content-type": "text/event-stream" } },
    );

  it.each([
    ["at all", []],
    ["but for comments", [": ping\n\n", ": ping\n\n"]],
  ])("is 504 when nothing comes %s, and the upstream is aborted", async (_name, first) => {
    using sent = scriptUpstream(() => silent(...first));
    const outcome = await call({ stream: true }, { UPSTREAM_FIRST_TOKEN_TIMEOUT_MS: "150" });
    expect(outcome.status).toBe(504);
    expect(sent[0]?.signal.aborted).toBe(true);
    expectFailed(outcome, "upstream_timeout");
    expect(outcome.run).toMatchObject({ first_token_ms: null });
  });

  it("is an error event when only the role came, which is an event but no token", async () => {
    const role = event({ choices: [{ index: 0, delta: { role: "assistant" }, finish_reason: null }] });
    using sent = scriptUpstream(() => silent(role));
    const outcome = await call({ stream: true }, { UPSTREAM_FIRST_TOKEN_TIMEOUT_MS: "150" });
    expect(outcome.text.startsWith(role)).toBe(true);
    expect(outcome.done).toBe(false);
    expect(outcome.error?.code).toBe("upstream_timeout");
    expect(sent[0]?.signal.aborted).toBe(true);
    expectFailed(outcome, "upstream_timeout");
  });

  it("is bounded by the total time in a whole answer", async () => {
    using sent = scriptUpstream(({ signal }) => {
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          controller.enqueue(new TextEncoder().encode("{"));
          // As the body of a real fetch does.
          signal.addEventListener("abort", () => controller.error(signal.reason));
        },
      });
      return new Response(body, { headers: { "content-type": "application/json" } });
    });
    const outcome = await call({}, { UPSTREAM_TOTAL_TIMEOUT_MS: "150" });
    expect(outcome.status).toBe(504);
    expect(sent).toHaveLength(1);
    expect(sent[0]?.signal.aborted).toBe(true);
    expectFailed(outcome, "upstream_timeout");
  });
});
