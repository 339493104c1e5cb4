import { createParser } from "eventsource-parser";
import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { chat, delta, event, events, scriptUpstream } from "../support/call.ts";
import { controlled, done, expectCut, expectNextServed, finish, outcomeOf, retrying } from "../support/faults.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});
afterEach(() => expectNextServed(secret));

const stream = async (vars: Record<string, string> = {}, body: Record<string, unknown> = {}) =>
  outcomeOf(await chat(secret, { stream: true, ...body }, { env: { ...retrying, ...vars } }));

describe("fault 7: a stall mid-stream", () => {
  it.each(["150", "700"])("of %s ms ends it by the idle timer, with the partial text kept", async (idle) => {
    const upstream = controlled();
    using sent = scriptUpstream(() => upstream.response);
    upstream.send(delta("par") + delta("tial"));
    const outcome = await stream({ UPSTREAM_IDLE_TIMEOUT_MS: idle });
    // A comment of our own may stand between when the silence is long.
    outcome.text = outcome.text.replaceAll(":\n\n", "");
    expectCut(outcome, delta("par") + delta("tial"), "upstream_timeout");
    expect(outcome.error?.message).toContain("silent");
    expect(outcome.answer?.content).toBe("partial");
    expect(sent).toHaveLength(1);
    expect(sent[0]?.signal.aborted).toBe(true);
    expect(upstream.cancelled).toBe(true);
    expect(outcome.run).toMatchObject({ usage_source: "unknown", cost_micros: null, finish_reason: null });
    expect(outcome.run?.["first_token_ms"]).toEqual(expect.any(Number));
  });

  it("inside an event is one too, and half the event is not passed on", async () => {
    const upstream = controlled();
    using _sent = scriptUpstream(() => upstream.response);
    upstream.send(delta("whole") + delta("half").slice(0, 30));
    const outcome = await stream({ UPSTREAM_IDLE_TIMEOUT_MS: "150" });
    expectCut(outcome, delta("whole"), "upstream_timeout");
    expect(outcome.answer?.content).toBe("whole");
  });

  it("is not what a stream has that comments keep alive, until the total time is over", async () => {
    const upstream = controlled();
    using sent = scriptUpstream(() => upstream.response);
    upstream.send(delta("part"));
    const pinging = setInterval(() => upstream.send(": ping\n\n"), 30);
    const outcome = await stream({ UPSTREAM_IDLE_TIMEOUT_MS: "150", UPSTREAM_TOTAL_TIMEOUT_MS: "600" });
    clearInterval(pinging);
    expect(outcome.error?.code).toBe("upstream_timeout");
    expect(Number(outcome.run?.["total_ms"])).toBeGreaterThanOrEqual(150);
    expect(outcome.answer?.content).toBe("part");
    expect(sent[0]?.signal.aborted).toBe(true);
  });
});

describe("fault 8: a stream that breaks off", () => {
  it("by a reset ends with an error event, its partial text kept, and is never tried again", async () => {
    const upstream = controlled();
    using sent = scriptUpstream(() => upstream.response);
    upstream.send(delta("part"));
    const called = await chat(secret, { stream: true, fallbacks: ["second"] }, { env: retrying });
    upstream.fail(new Error("connection reset by 10.1.2.3"));
    const outcome = await outcomeOf(called);
    expectCut(outcome, delta("part"));
    expect(outcome.answer?.content).toBe("part");
    expect(outcome.attempts).toHaveLength(1);
    expect(sent).toHaveLength(1);
  });

  it.each([
    ["without a finish reason", [delta("part")]],
    ["with [DONE] but without a finish reason", [delta("part"), done]],
    ["inside an event", [delta("part"), delta("more").slice(0, -20)]],
    ["inside a character", [delta("part"), new TextEncoder().encode("data: 你").slice(0, -1)]],
    [
      "after usage but without a finish reason",
      [delta("part"), event({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } })],
    ],
  ])("%s ends with an error event, never [DONE], and is never tried again", async (_name, texts) => {
    using sent = scriptUpstream(() => events(...texts));
    const outcome = await stream({}, { fallbacks: ["second"] });
    expectCut(outcome, delta("part"));
    expect(outcome.answer?.content).toBe("part");
    expect(outcome.run).toMatchObject({ finish_reason: null });
    expect(sent).toHaveLength(1);
  });

  it("in one of two choices is cut for both", async () => {
    const second = event({ choices: [{ index: 1, delta: { content: "other" }, finish_reason: null }] });
    using _sent = scriptUpstream(() => events(delta("part"), second, finish, done));
    const outcome = await stream();
    expect(outcome.done).toBe(false);
    expect(outcome.run).toMatchObject({ status: "failed", error_code: "upstream_error" });
  });

  it("before its first event is tried again, since nothing went out", async () => {
    using sent = scriptUpstream(() => {
      if (sent.length === 3) return events(delta("ok"), finish, done);
      const upstream = controlled();
      upstream.send(": hello\n\n");
      upstream.fail(new Error("reset"));
      return upstream.response;
    });
    const outcome = await stream();
    expect(outcome.text).toContain("ok");
    expect(outcome.attempts.map(({ error }) => error)).toEqual(["upstream_error", "upstream_error", null]);
  });
});

describe("fault 9: EOF without [DONE] but with a finish reason", () => {
  it.each([
    ["a blank line last", finish],
    ["no blank line last", finish.trimEnd()],
    ["one line end last", finish.slice(0, -1)],
  ])("is success, and the [DONE] is ours (%s)", async (_name, last) => {
    using sent = scriptUpstream(() => events(delta("all"), last));
    const outcome = await stream();
    expect(outcome.text.replace(/\n{3,}/, "\n\n")).toBe(delta("all") + finish + done);
    expect(outcome.run).toMatchObject({ status: "succeeded", error_code: null, finish_reason: "stop" });
    expect(outcome.answer?.content).toBe("all");
    expect(sent).toHaveLength(1);
  });
});

describe("fault 10: what upstreams add", () => {
  it("data after [DONE] is ignored, in the same bytes or later", async () => {
    for (const late of [[done + delta("late") + done], [done, delta("late"), event({ error: { message: "late" } })]]) {
      using _sent = scriptUpstream(() => events(delta("all"), finish, ...late));
      const outcome = await stream();
      expect(outcome.text).toBe(delta("all") + finish + done);
      expect(outcome.run).toMatchObject({ status: "succeeded", malformed: 0 });
      expect(outcome.answer?.content).toBe("all");
    }
  });

  it("a stream that never closes after [DONE] does not keep the client or the run", async () => {
    const upstream = controlled();
    using sent = scriptUpstream(() => upstream.response);
    upstream.send(delta("all") + finish + done);
    const outcome = await stream();
    expect(outcome.text).toBe(delta("all") + finish + done);
    expect(outcome.run).toMatchObject({ status: "succeeded" });
    expect(sent[0]?.signal.aborted).toBe(true);
  });

  it("an unknown finish reason is passed through and kept", async () => {
    using _sent = scriptUpstream(() => events(delta("all"), delta("", "guardrail_pause"), done));
    const outcome = await stream();
    expect(outcome.text).toBe(delta("all") + delta("", "guardrail_pause") + done);
    expect(outcome.run).toMatchObject({ status: "succeeded", finish_reason: "guardrail_pause" });
  });
});

/** Everything the format allows, in one stream; its text is "你好🎉 two lines". */
function odd(eol: string, bom: boolean): string {
  const json = (content: string, reason: string | null = null) =>
    JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: reason }] });
  const lines = [
    ": a comment",
    "",
    `data:${json("你")}`,
    "",
    "event: message",
    "id: 7",
    "retry: 100",
    `data: ${json("好")}`,
    "",
    ":",
    `data: ${json("🎉")}`,
    ": a comment within",
    "",
    'data: {"choices":[{"index":0,',
    'data: "delta":{"content":" two lines"},"finish_reason":null}]}',
    "",
    `data: ${json("", "stop")}`,
    "",
    "data:[DONE]",
    "",
    "",
  ];
  return (bom ? "\ufeff" : "") + lines.join(eol);
}

/** The text that a client reads. */
function textOf(stream: string): string {
  let text = "";
  const onEvent = ({ data }: { data: string }) => {
    if (data !== "[DONE]") text += JSON.parse(data).choices[0].delta.content;
  };
  createParser({ onEvent }).feed(stream);
  return text;
}

const said = "你好🎉 two lines";

describe.each([
  ["LF", "\n", false],
  ["CRLF", "\r\n", false],
  ["CR", "\r", false],
  ["a BOM and CRLF", "\r\n", true],
] as const)("fault 11: every legal form, with %s", (_name, eol, bom) => {
  const source = new TextEncoder().encode(odd(eol, bom));

  async function relayed(...pieces: Uint8Array[]) {
    using _sent = scriptUpstream(() => events(...pieces));
    const outcome = await stream();
    expect(textOf(outcome.text)).toBe(said);
    expect(outcome.done).toBe(true);
    expect(outcome.run).toMatchObject({ status: "succeeded", malformed: 0, finish_reason: "stop" });
    expect(outcome.answer?.content).toBe(said);
    return outcome;
  }

  it("is the same bytes whole, byte by byte, and split at any places", async () => {
    const whole = await relayed(source);
    expect(new TextEncoder().encode(whole.text)).toEqual(bom ? source.slice(3) : source);
    expect((await relayed(...[...source].map((byte) => new Uint8Array([byte])))).text).toBe(whole.text);
    const places = fc.uniqueArray(fc.integer({ min: 1, max: source.length - 1 }), { maxLength: 8 });
    const split = async (at: number[]) => {
      const ends = [0, ...at.toSorted((a, b) => a - b), source.length];
      const pieces = ends.slice(1).map((end, index) => source.slice(ends[index], end));
      expect((await relayed(...pieces)).text).toBe(whole.text);
    };
    await fc.assert(fc.asyncProperty(places, split), { numRuns: 40 });
    // Each of them waits for its record.
  }, 20_000);
});

it("fault 11: comments are no data: alone they are an empty stream", async () => {
  using _sent = scriptUpstream(() => events(": a\n\n", ":\n\n"));
  expect(await stream()).toMatchObject({ status: 502, answer: { content: null } });
});
