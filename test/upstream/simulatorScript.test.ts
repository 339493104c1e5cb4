import { describe, expect, it, vi } from "vitest";
import { ask, askJson, askStream, foldStream, type Loose, piecesOf } from "../support/simulator.ts";

const model = "sim/script";
const streamed = (prompt: string, body: Record<string, unknown> = {}) => askStream({ model, prompt, body });
const plain = (prompt: string, body: Record<string, unknown> = {}) => ask({ model, prompt, body });
const withUsage = { stream_options: { include_usage: true } };
const rawStream = async (prompt: string) => (await plain(prompt, { stream: true })).text();

describe("what a script says", () => {
  it("says and reasons in the order written, joined without anything between", async () => {
    const { content, reasoning, finishReason, done } = await streamed(
      "reason hm\nsay one\nsay  two\n\n# a note\nreason  so",
    );
    expect([content, reasoning, finishReason, done]).toEqual(["one two", "hm so", "stop", true]);
  });

  it("reads a quoted value as a JSON string", async () => {
    expect((await streamed('say "a\\nb "\nsay "half quoted')).content).toBe('a\nb "half quoted');
  });

  it("takes the same script as JSON", async () => {
    const script = [
      { say: "a\nb" },
      "say c",
      { finish: "odd" },
      { usage: [3, 4] },
      { tool: ["look", { x: 1 }] },
      { pace: 0 },
    ];
    const { choices, usage } = (await (await plain(JSON.stringify(script))).json()) as Loose;
    expect(choices[0].message.content).toBe("a\nbc");
    expect(choices[0].finish_reason).toBe("odd");
    expect(choices[0].message.tool_calls[0].function).toEqual({ name: "look", arguments: '{"x":1}' });
    expect(usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 });
    expect((await streamed('{"say": "alone"}')).content).toBe("alone");
  });

  it("calls tools with the arguments as written, valid or not", async () => {
    const { choices } = await askJson({ model, prompt: 'tool one {"a": 1}\ntool two {"broken\ntool three' });
    expect(choices[0].finish_reason).toBe("tool_calls");
    expect(choices[0].message.content).toBeNull();
    expect(choices[0].message.tool_calls.map((call: Loose) => call.function)).toEqual([
      { name: "one", arguments: '{"a": 1}' },
      { name: "two", arguments: '{"broken' },
      { name: "three", arguments: "{}" },
    ]);
    expect(new Set(choices[0].message.tool_calls.map((call: Loose) => call.id)).size).toBe(3);
  });

  it("finishes with any reason", async () => {
    expect((await streamed("say x\nfinish content_filter")).finishReason).toBe("content_filter");
  });
});

describe("usage", () => {
  const usages = async (prompt: string) =>
    (await streamed(prompt, withUsage)).chunks
      .filter((chunk) => chunk.usage)
      .map((chunk) => [chunk.usage.prompt_tokens, chunk.usage.completion_tokens]);

  it("is as given, left out, or sent twice with the right one last", async () => {
    expect(await usages("say one two\nusage 5 7")).toEqual([[5, 7]]);
    expect(await usages("say x\nusage -1 -2")).toEqual([[-1, -2]]);
    expect(await usages("say x\nusage none")).toEqual([]);
    expect(await usages("say one two\nusage 5 7\nusage twice")).toEqual([
      [5, 0],
      [5, 7],
    ]);
    expect(await askJson({ model, prompt: "say x\nusage none" })).not.toHaveProperty("usage");
  });
});

describe("several choices", () => {
  it("say the same; faults and comments happen once", async () => {
    const { chunks, comments, done } = await streamed("say one\ncomment once\nmalformed", { n: 2 });
    expect([comments, chunks.filter((chunk) => chunk === null).length, done]).toEqual([["once"], 1, true]);
    const { choices } = await askJson({ model, prompt: "say one\ncomment once", body: { n: 2 } });
    expect(choices.map((choice: Loose) => choice.message.content)).toEqual(["one", "one"]);
  });
});

describe("how a stream ends", () => {
  it("nodone: finishes without [DONE]", async () => {
    expect(await streamed("say x\nnodone")).toMatchObject({ content: "x", finishReason: "stop", done: false });
  });

  it("cut: ends without finish or [DONE]", async () => {
    expect(await streamed("say one two\ncut", withUsage)).toMatchObject({
      content: "one two",
      finishReason: null,
      done: false,
    });
    const text = await (await plain("say one two\ncut")).text();
    expect(text).toMatch(/^\{"id":/);
    expect(() => JSON.parse(text)).toThrow();
  });

  it("after-done: sends one more chunk behind [DONE]", async () => {
    const { data } = await streamed("say x\nafter-done");
    expect(data.at(-2)).toBe("[DONE]");
    expect(JSON.parse(data.at(-1) ?? "").choices[0].delta).toEqual({ content: "after [DONE]" });
  });

  it("error: an error object mid-stream, first in a stream, or as the body", async () => {
    const { chunks, content, done, finishReason } = await streamed("say x\nerror it broke");
    const error = { message: "it broke", type: "server_error", param: null, code: "simulated" };
    expect(chunks.at(-1)).toEqual({ error });
    expect([content, done, finishReason]).toEqual(["x", false, null]);
    expect((await streamed("error it broke")).chunks).toEqual([{ error }]);
    const response = await plain("say x\nerror it broke");
    expect([response.status, await response.json()]).toEqual([200, { error }]);
  });

  it("reset: the connection breaks after what was sent", async () => {
    const reader = (await plain("say x\nreset", { stream: true })).body?.getReader();
    await reader?.read();
    const said = await reader?.read();
    expect(new TextDecoder().decode(said?.value)).toContain('"content":"x"');
    await expect(reader?.read()).rejects.toThrow("reset");
    await expect(plain("say x\nreset")).rejects.toThrow("reset");
  });

  it("stall: nothing more until the reader leaves or the caller aborts", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const controller = new AbortController();
      const request = { model, prompt: "say x\nstall", body: { stream: true }, signal: controller.signal };
      const reader = (await ask(request)).body?.getReader();
      await reader?.read();
      await reader?.read();
      let ended = false;
      const stalled = reader?.read().finally(() => {
        ended = true;
      });
      const refused = expect(stalled).rejects.toThrow("enough");
      await vi.advanceTimersByTimeAsync(3 * 86_400_000);
      expect([ended, vi.getTimerCount()]).toEqual([false, 1]);
      controller.abort(new Error("enough"));
      await refused;
      expect(vi.getTimerCount()).toBe(0);

      const other = (await plain("stall", { stream: true })).body?.getReader();
      const pending = other?.read();
      await vi.advanceTimersByTimeAsync(1000);
      await other?.cancel();
      expect([await pending, vi.getTimerCount()]).toEqual([{ done: true, value: undefined }, 0]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("stall: a plain answer never comes", async () => {
    const controller = new AbortController();
    const answer = expect(ask({ model, prompt: "say x\nstall", signal: controller.signal })).rejects.toThrow("enough");
    controller.abort(new Error("enough"));
    await answer;
  });
});

describe("what a stream looks like", () => {
  it("chunk: the same bytes in pieces of that size, through characters and lines", async () => {
    const whole = await rawStream("say 堰😀让水流过");
    const pieces = await piecesOf(await plain("say 堰😀让水流过\nchunk 7", { stream: true }));
    expect(pieces.slice(0, -1).every((piece) => piece.length === 7)).toBe(true);
    const joined = new Uint8Array(await new Blob(pieces).arrayBuffer());
    // The id is the request's, so the texts differ in it alone.
    expect(foldStream(new TextDecoder().decode(joined)).content).toBe("堰😀让水流过");
    expect(joined.length).toBe(new TextEncoder().encode(whole).length);
    const large = await piecesOf(await plain("say one two\nchunk 1000000", { stream: true }));
    expect(large).toHaveLength(1);
  });

  it("chunk: what is gathered goes out before a stall", async () => {
    const reader = (await plain("say x\nchunk 1000000\nstall", { stream: true })).body?.getReader();
    const first = await reader?.read();
    expect(new TextDecoder().decode(first?.value)).toContain('"content":"x"');
    await reader?.cancel();
  });

  it("crlf, bom, comment: legal oddities around the same answer", async () => {
    const text = await rawStream('comment "two\\nlines"\nsay x\ncrlf');
    expect(text.replaceAll("\r\n", "")).not.toMatch(/[\r\n]/);
    expect(foldStream(text)).toMatchObject({ content: "x", done: true, comments: ["two", "lines"] });
    const [first] = await piecesOf(await plain("say x\nbom", { stream: true }));
    expect([...(first ?? []).slice(0, 4)]).toEqual([0xef, 0xbb, 0xbf, "d".charCodeAt(0)]);
  });

  it("malformed: a broken event, and the stream goes on", async () => {
    const { chunks, content, done } = await streamed("say one\nmalformed\nsay  two");
    expect(chunks.filter((chunk) => chunk === null)).toHaveLength(1);
    expect([content, done]).toEqual(["one two", true]);
    await expect((await plain("say one\nmalformed")).json()).rejects.toThrow(SyntaxError);
  });
});

describe("instead of an answer", () => {
  it("status: an error response, with Retry-After as written", async () => {
    const response = await plain("status 429 slow down retry-after 7", { stream: true });
    expect([response.status, response.headers.get("retry-after")]).toEqual([429, "7"]);
    expect(await response.json()).toEqual({
      error: { message: "slow down", type: "rate_limit_error", param: null, code: "simulated" },
    });
    const bare = await plain("status 503 retry-after soon, perhaps");
    expect([bare.status, bare.headers.get("retry-after")]).toEqual([503, "soon, perhaps"]);
    const odd = await plain("status 529");
    expect([odd.status, ((await odd.json()) as Loose).error.message]).toEqual([529, "A simulated status 529."]);
    const redirect = await plain("status 307");
    expect([redirect.status, redirect.headers.get("location")]).toEqual([
      307,
      "https://redirect.invalid/v1/chat/completions",
    ]);
    expect((await plain("status 304")).status).toBe(304);
  });

  it("html, empty: a body that is no completion, under any status", async () => {
    const html = await plain("html", { stream: true });
    expect([html.status, html.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(await html.text()).toContain("<html>");
    expect((await plain("status 502\nhtml")).status).toBe(502);
    const empty = await plain("empty", { stream: true });
    expect([empty.status, empty.headers.get("content-type"), await empty.text()]).toEqual([
      200,
      "text/event-stream; charset=utf-8",
      "",
    ]);
  });

  it("refuse: no response at all", async () => {
    await expect(plain("refuse")).rejects.toThrow(TypeError);
  });
});

describe("a script that is none", () => {
  it.each([
    "shout hello",
    "say ok\nsayy more",
    "wait soon",
    "wait -1",
    "wait 999999999",
    "chunk 0",
    "usage 1",
    "usage a b",
    "status 200 fine",
    "status",
    "status 429 retry-after 水",
    "tool",
    "finish",
    "cut now",
    "cut\nsay more",
    "error a\nerror b",
    "[{]",
    '[{"say":"a","wait":1}]',
    "[1]",
    "{}",
    "",
    "__proto__",
  ])("answers %j with 400 and param messages", async (prompt) => {
    const response = await plain(prompt);
    const { error } = (await response.json()) as Loose;
    expect([response.status, error.type, error.param]).toEqual([400, "invalid_request_error", "messages"]);
  });

  it("names the directive it does not know", async () => {
    expect((await askJson({ model, prompt: "say a\nshout b" })).error.message).toContain('"shout"');
  });
});
