import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { chat, completion, delta, event, events, scriptUpstream, usageEvent } from "../support/call.ts";
import {
  done,
  expectCut,
  expectFailed,
  expectNextServed,
  finish,
  good,
  indiscreet,
  outcomeOf,
  retrying,
} from "../support/faults.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});
afterEach(() => expectNextServed(secret));

const priced = "deepseek/deepseek-r1-distill-qwen-32b";
const call = async (body: Record<string, unknown>) => outcomeOf(await chat(secret, body, { env: retrying }));

describe("fault 12: a malformed JSON event", () => {
  it.each([
    ["cut", 'data: {"choices":[{"delta":\n\n'],
    ["no object", 'data: "text"\n\n'],
    ["no JSON", "data: <html>busy</html>\n\n"],
    ["with a usage in it", 'data: {"usage": {"prompt_tokens": oops}\n\n'],
    ["with an error in it", 'data: {"error": {oops\n\n'],
  ])("(%s) is passed on as it is, the run is flagged, and the stream goes on", async (_name, malformed) => {
    for (const texts of [
      [delta("a"), malformed, delta("b")],
      [malformed, delta("a"), delta("b")],
    ]) {
      using sent = scriptUpstream(() => events(...texts, finish, done));
      const outcome = await call({ stream: true });
      expect(outcome.text).toBe([...texts, finish, done].join(""));
      expect(outcome.run).toMatchObject({ status: "succeeded", malformed: 1, finish_reason: "stop" });
      expect(outcome.answer?.content).toBe("ab");
      expect(sent).toHaveLength(1);
    }
  });

  it("does not make a whole of a stream that has no finish reason", async () => {
    using _sent = scriptUpstream(() => events(delta("a"), "data: {oops\n\n", done));
    const outcome = await call({ stream: true });
    expect(outcome.done).toBe(false);
    expect(outcome.run).toMatchObject({ status: "failed", malformed: 1 });
  });
});

describe("fault 13: a line of many megabytes", () => {
  /** `first`, then a line that never ends, as long as it is read. */
  function endless(first: string) {
    const source = { bytes: 0, cancelled: false };
    const piece = new Uint8Array(64 * 1024).fill(0x61);
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(`${first}data: "`)),
      pull(controller) {
        if (source.bytes > 64 * 1024 * 1024) return controller.close();
        source.bytes += piece.length;
        controller.enqueue(piece);
      },
      cancel: () => {
        source.cancelled = true;
      },
    });
    return { source, response: new Response(body, { headers: { "content-type": "text/event-stream" } }) };
  }

  it("is upstream_error with no more read than the bound", async () => {
    const { source, response } = endless("");
    using sent = scriptUpstream(() => response);
    const outcome = await call({ stream: true });
    expect(outcome.status).toBe(502);
    expect(outcome.error?.code).toBe("upstream_error");
    expectFailed(outcome, "upstream_error");
    expect(source.bytes).toBeLessThan(limits.maxEventBytes + 512 * 1024);
    expect(source.cancelled).toBe(true);
    expect(sent).toHaveLength(1);
  });

  it("mid-stream is an error event with no more read than the bound, and none of the line passed on", async () => {
    const { source, response } = endless(delta("part"));
    using _sent = scriptUpstream(() => response);
    const outcome = await call({ stream: true });
    expectCut(outcome, delta("part"));
    expect(outcome.answer?.content).toBe("part");
    expect(source.bytes).toBeLessThan(limits.maxEventBytes + 512 * 1024);
    expect(source.cancelled).toBe(true);
  });

  it("of an allowed length passes", async () => {
    const long = delta("x".repeat(limits.maxEventBytes - 1_000));
    using _sent = scriptUpstream(() => events(long, finish, done));
    expect((await call({ stream: true })).text).toBe(long + finish + done);
  });

  it("in a whole answer is bounded too", async () => {
    let bytes = 0;
    const piece = new Uint8Array(1024 * 1024).fill(0x20);
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        bytes += piece.length;
        controller.enqueue(piece);
      },
    });
    using _sent = scriptUpstream(() => new Response(body, { headers: { "content-type": "application/json" } }));
    const outcome = await call({});
    expect(outcome.status).toBe(502);
    expectFailed(outcome, "upstream_error");
    expect(bytes).toBeLessThan(limits.maxUpstreamBytes + 4 * 1024 * 1024);
  });
});

describe("fault 14: an error object", () => {
  const errors = [
    ["an object", event({ error: { message: indiscreet, type: "server_error", code: null } })],
    ["a text", event({ error: indiscreet })],
    ["in a choice", event({ choices: [{ index: 0, delta: {}, error: { message: indiscreet } }] })],
    ["an event of that name", `event: error\ndata: ${JSON.stringify({ message: indiscreet })}\n\n`],
    ["an event of that name with a text", `event: error\ndata: ${indiscreet}\n\n`],
    [
      "with a finish reason",
      event({ error: { message: indiscreet }, choices: [{ index: 0, delta: {}, finish_reason: "error" }] }),
    ],
  ] as const;

  it.each(errors)("(%s) mid-stream is terminal, cleaned, and no [DONE] follows it", async (_name, error) => {
    using sent = scriptUpstream(() => events(delta("part"), error, delta("more"), finish, done));
    const outcome = await call({ stream: true });
    expectCut(outcome, delta("part"));
    expect(outcome.answer?.content).toBe("part");
    expect(outcome.error?.message).toContain("[removed]");
    expect(sent).toHaveLength(1);
  });

  it.each(errors)("(%s) first in a stream is a status code", async (_name, error) => {
    using sent = scriptUpstream(() => events(": hello\n\n", error, done));
    const outcome = await call({ stream: true });
    expect(outcome.status).toBe(502);
    expect(outcome.error?.message).toContain("[removed]");
    expect(outcome.done).toBe(false);
    expectFailed(outcome, "upstream_error");
    expect(sent.length).toBeGreaterThan(0);
  });

  it.each([
    ["an object", { error: { message: indiscreet } }],
    ["a text", { error: indiscreet }],
    ["beside choices", { error: { message: indiscreet }, choices: [{ message: { content: "x" } }] }],
    ["in a choice", { choices: [{ message: { content: "" }, error: { message: indiscreet } }] }],
  ])("(%s) in a 200 body is a status code, cleaned", async (_name, body) => {
    using _sent = scriptUpstream(() => Response.json(body));
    const outcome = await call({});
    expect(outcome.status).toBe(502);
    expect(outcome.error?.message).toContain("[removed]");
    expectFailed(outcome, "upstream_error");
  });

  it.each([
    [{ message: "too long", type: "invalid_request_error" }, 400, "invalid_request"],
    [{ message: "too long", code: 400 }, 400, "invalid_request"],
    [{ message: "slow down", type: "rate_limit_error" }, 429, "rate_limited"],
    [{ message: "bad key upstream-secret-key", code: 401 }, 502, "upstream_error"],
    [{ message: "late", code: "504" }, 504, "upstream_timeout"],
  ])("that says %j is our %i while nothing was sent", async (error, status, code) => {
    for (const stream of [false, true]) {
      using _sent = scriptUpstream(() => (stream ? events(event({ error })) : Response.json({ error })));
      const outcome = await call({ stream });
      expect(outcome.status).toBe(status);
      expectFailed(outcome, code);
    }
  });

  it("that is a list, without a word, is one all the same", async () => {
    using _sent = scriptUpstream(({ body }) =>
      body["stream"]
        ? events(delta("part"), event({ error: ["at upstream.test"] }), done)
        : Response.json({ error: ["at upstream.test"], choices: [] }),
    );
    expect((await call({})).status).toBe(502);
    expectCut(await call({ stream: true }), delta("part"));
  });

  it("that is null is none", async () => {
    const chunk = event({ error: null, choices: [{ index: 0, delta: { content: "a" }, finish_reason: "stop" }] });
    using _sent = scriptUpstream(() => events(chunk, done));
    expect((await call({ stream: true })).text).toBe(chunk + done);
  });
});

describe("fault 17: usage", () => {
  const valid = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  const usage = (counts: unknown) => event({ choices: [], usage: counts });
  const unknown = { prompt_tokens: null, completion_tokens: null, usage_source: "unknown", cost_micros: null };
  const known = {
    prompt_tokens: 3,
    completion_tokens: 2,
    usage_source: "upstream",
    cost_micros: 19,
    cost_currency: "CNY",
  };

  it.each([
    ["missing", [], unknown],
    ["null", [usage(null)], unknown],
    ["negative", [usage({ ...valid, completion_tokens: -2 })], unknown],
    ["no number", [usage({ prompt_tokens: "3", completion_tokens: 2 })], unknown],
    ["with fractions", [usage({ prompt_tokens: 3.5, completion_tokens: 2 })], unknown],
    ["enormous", [usage({ prompt_tokens: 1e300, completion_tokens: 2 })], unknown],
    ["zero for an answer with text", [usage({ prompt_tokens: 0, completion_tokens: 0 })], unknown],
    ["in a chunk with empty choices", [usageEvent], known],
    ["doubled", [usage({ prompt_tokens: 1, completion_tokens: 1 }), usageEvent], known],
    ["valid, then negative", [usageEvent, usage({ ...valid, prompt_tokens: -1 })], known],
    ["valid, then null", [usageEvent, usage(null)], known],
  ])("that is %s is marked for what it is", async (_name, chunks, expected) => {
    using _sent = scriptUpstream(() => events(delta("ok"), finish, ...chunks, done));
    const outcome = await call({ stream: true, model: priced });
    expect(outcome.run).toMatchObject({ status: "succeeded", ...expected });
    expect(outcome.done).toBe(true);
    const asked = await call({ stream: true, model: priced, stream_options: { include_usage: true } });
    expect(asked.text).not.toContain('"cost":0,');
    expect(asked.text.includes('"cost":0.000019')).toBe(expected === known);
  });

  it.each([
    ["missing", undefined, unknown],
    ["negative", { ...valid, prompt_tokens: -3 }, unknown],
    ["good", valid, known],
  ])("that is %s in a whole answer is marked for what it is", async (_name, counts, expected) => {
    using _sent = scriptUpstream(() => completion("ok", { usage: counts }));
    expect((await call({ model: priced })).run).toMatchObject({ status: "succeeded", ...expected });
  });
});

describe("fault 18: an answer of reasoning alone", () => {
  const chunk = (fields: object, reason: string | null = null) =>
    event({ choices: [{ index: 0, delta: { content: "", ...fields }, finish_reason: reason }] });

  it.each(["reasoning_content", "reasoning"])("as %s is preserved in a stream", async (name) => {
    const texts = [chunk({ [name]: "I th" }), chunk({ [name]: "ink." }), chunk({}, "stop"), done];
    using _sent = scriptUpstream(() => events(...texts));
    const outcome = await call({ stream: true });
    expect(outcome.text).toBe(texts.join(""));
    expect(outcome.run).toMatchObject({ status: "succeeded", finish_reason: "stop" });
    expect(outcome.run?.["first_token_ms"]).toEqual(expect.any(Number));
    expect(outcome.answer).toMatchObject({ content: "", reasoning: "I think." });
  });

  it.each(["reasoning_content", "reasoning"])("as %s is preserved in a whole answer", async (name) => {
    const message = { role: "assistant", content: "", [name]: "I think." };
    using _sent = scriptUpstream(() => completion("", { choices: [{ index: 0, finish_reason: "stop", message }] }));
    const outcome = await call({});
    expect(JSON.parse(outcome.text).choices[0].message).toEqual(message);
    expect(outcome.run).toMatchObject({ status: "succeeded" });
    expect(outcome.answer).toMatchObject({ content: "", reasoning: "I think." });
  });

  it("or of nothing at all, but with a finish reason, is success", async () => {
    for (const content of ["", null]) {
      const empty = event({ choices: [{ index: 0, delta: { content }, finish_reason: "stop" }] });
      using _sent = scriptUpstream(() => events(empty, done));
      const outcome = await call({ stream: true });
      expect(outcome.text).toBe(empty + done);
      expect(outcome.run).toMatchObject({ status: "succeeded" });
      expect(outcome.answer?.content).toBe(content);
    }
    using _sent = scriptUpstream(() => good(false, ""));
    expect((await call({})).answer?.content).toBe("");
  });
});
