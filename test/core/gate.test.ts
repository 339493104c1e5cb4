import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AppError } from "../../src/core/errors.ts";
import { StreamGate } from "../../src/core/gate.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const chunk = (delta: object, finish: string | null = null, extra: object = {}) =>
  `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", model: "m", choices: [{ index: 0, delta, finish_reason: finish }], ...extra })}\n\n`;
const usage = (prompt: number, completion: number) =>
  `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: prompt, completion_tokens: completion } })}\n\n`;
const done = "data: [DONE]\n\n";

/** Passes a stream through a gate; the outcome is what a client would get and what was read. */
function through(chunks: (string | Uint8Array)[], hideUsage = true) {
  const gate = new StreamGate({ hideUsage, secrets: ["up.example"], price: null });
  const decoder = new TextDecoder();
  let text = "";
  let end: "done" | AppError | undefined;
  for (const piece of chunks) {
    const passage = gate.pass(typeof piece === "string" ? encode(piece) : piece);
    text += decoder.decode(passage.bytes, { stream: true });
    end = passage.end;
    if (end) break;
  }
  if (!end) {
    const passage = gate.end();
    text += decoder.decode(passage.bytes);
    end = passage.end;
  }
  return { text, end, answer: gate.settle() };
}

describe("what reaches the client", () => {
  it("is the upstream's bytes, and the answer its text, for random texts and chunkings down to single bytes", () => {
    const text = fc.string({
      unit: fc.constantFrom(
        "你",
        "好",
        "👨‍👩‍👧",
        "é",
        "e\u0301",
        "a",
        " ",
        "\n",
        '"',
        "\\",
        "\u2028",
        "𝒳",
        "[DONE]",
        '"error"',
      ),
      minLength: 1,
    });
    fc.assert(
      fc.property(
        fc.array(text, { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(400)),
        fc.boolean(),
        (parts, places, single) => {
          const stream = `${parts.map((part) => chunk({ content: part })).join("")}${chunk({}, "stop")}${done}`;
          const bytes = encode(stream);
          const cuts = single
            ? [...bytes.keys()]
            : [...new Set(places.map((at) => at % bytes.length))].sort((a, b) => a - b);
          const pieces = [...cuts, bytes.length].map((at, i) => bytes.slice(cuts[i - 1] ?? 0, at));
          const passed = through(pieces);
          expect(passed.text).toBe(stream);
          expect(passed.end).toBe("done");
          expect(passed.answer.content).toBe(parts.join(""));
        },
      ),
      { numRuns: 300 },
    );
  });

  it("leaves out a usage chunk that was not asked for, and counts it all the same", () => {
    const stream = [chunk({ content: "a" }), chunk({}, "stop"), usage(3, 5), done];
    const hidden = through(stream);
    expect(hidden.text).toBe(`${stream[0]}${stream[1]}${done}`);
    expect(hidden.answer.usage).toEqual({ promptTokens: 3, completionTokens: 5, reasoningTokens: null });
    expect(through(stream, false).text).toBe(stream.join(""));
  });

  it("takes the last valid usage when it is doubled, and none that is negative", () => {
    const stream = [chunk({ content: "a" }, "stop"), usage(1, 1), usage(3, 5), usage(-1, 2), done];
    expect(through(stream).answer.usage).toMatchObject({ promptTokens: 3, completionTokens: 5 });
    expect(through([chunk({ content: "a" }, "stop"), usage(-1, 2), done]).answer.usage).toBeNull();
  });

  it("ends with an error and without [DONE] when no finish reason was seen", () => {
    for (const stream of [[chunk({ content: "a" }), done], [chunk({ content: "a" })]]) {
      const passed = through(stream);
      expect(passed.text).toBe(stream[0]);
      expect(passed.end).toMatchObject({ code: "upstream_error" });
    }
  });

  it("adds the [DONE] that an otherwise whole stream lacks", () => {
    const passed = through([chunk({ content: "a" }), chunk({}, "stop")]);
    expect(passed.text.endsWith(done)).toBe(true);
    expect(passed.end).toBe("done");
  });

  it("takes a last event without its blank line, and drops half an event", () => {
    expect(through([chunk({ content: "a" }, "stop"), "data: [DONE]"]).end).toBe("done");
    const cut = through([chunk({ content: "a" }), 'data: {"choices":[{"del']);
    expect(cut.text).toBe(chunk({ content: "a" }));
    expect(cut.end).toMatchObject({ code: "upstream_error" });
  });

  it("passes nothing after [DONE]", () => {
    expect(through([chunk({ content: "a" }, "stop") + done + chunk({ content: "late" })]).text).not.toContain("late");
  });

  it("turns an error object into the end, cleaned of addresses, keys and organisations", () => {
    const message = "failed at https://up.example/v1 for org-AbCd1234 with sk-secret123456 on up.example";
    const passed = through([chunk({ content: "a" }), `data: ${JSON.stringify({ error: { message } })}\n\n`, done]);
    expect(passed.text).toBe(chunk({ content: "a" }));
    expect(passed.end).toBeInstanceOf(AppError);
    expect(String(passed.end)).not.toMatch(/up\.example|org-|sk-/);
  });

  it.each([
    'event: error\ndata: {"message":"quota at http://up.example"}\n\n',
    "event:error\r\ndata: quota at http://up.example\r\n\r\n",
    'event: error\ndata: {"error":{"message":"quota at up.example"}}\n\n',
  ])("takes an event named error for one: %j", (event) => {
    const passed = through([chunk({ content: "a" }), event]);
    expect(passed.text).toBe(chunk({ content: "a" }));
    expect(passed.end).toMatchObject({ message: expect.stringContaining("quota") });
    expect(String(passed.end)).not.toContain("up.example");
  });

  it("passes an event of another name", () => {
    const named = `event: chunk\nid: 7\n${chunk({ content: "a" }, "stop")}`;
    expect(through([named, done]).text).toBe(named + done);
  });

  it("takes a nonsensical token count for none", () => {
    const stream = [chunk({ content: "a" }, "stop"), usage(Number.MAX_SAFE_INTEGER, 1), done];
    expect(through(stream).answer.usage).toBeNull();
  });

  it("passes on a malformed event and flags the run", () => {
    const passed = through([chunk({ content: "a" }), "data: {oops\n\n", chunk({ content: "b" }, "stop"), done]);
    expect(passed.text).toContain("data: {oops\n\n");
    expect(passed.answer).toMatchObject({ malformed: true, content: "ab" });
  });

  it("keeps reasoning under either name, unknown fields and unknown finish reasons", () => {
    const stream = [
      chunk({ reasoning: "x" }),
      chunk({ reasoning_content: "y" }),
      chunk({ content: "", odd: 1 }, "odd_end"),
      done,
    ];
    const passed = through(stream);
    expect(passed.text).toBe(stream.join(""));
    expect(passed.answer).toMatchObject({ reasoning: "xy", finishReason: "odd_end" });
  });

  it("joins the fragments of parallel tool calls", () => {
    const call = (index: number, fragment: object) => chunk({ tool_calls: [{ index, ...fragment }] });
    const passed = through([
      call(0, { id: "a", type: "function", function: { name: "f", arguments: "" } }),
      call(1, { id: "b", type: "function", function: { name: "g", arguments: "{" } }),
      call(0, { function: { arguments: '{"x"' } }),
      call(1, { function: { arguments: "}" } }),
      call(0, { function: { arguments: ":1}" } }),
      chunk({}, "tool_calls"),
      done,
    ]);
    expect(passed.answer.toolCalls).toEqual([
      { id: "a", type: "function", function: { name: "f", arguments: '{"x":1}' } },
      { id: "b", type: "function", function: { name: "g", arguments: "{}" } },
    ]);
  });

  it("reads content that comes in parts", () => {
    const parts = [{ type: "text", text: "a" }, { type: "image_url" }, { type: "text", text: "b" }];
    expect(through([chunk({ content: parts }, "stop"), done]).answer.content).toBe("ab");
  });

  it("tells the first token once, and not for a chunk that only names the role", () => {
    const gate = new StreamGate({ hideUsage: true, secrets: [], price: null });
    let times = 0;
    gate.onFirstToken = () => times++;
    gate.pass(encode(chunk({ role: "assistant", content: "" })));
    expect(times).toBe(0);
    gate.pass(encode(chunk({ content: "a" })));
    gate.pass(encode(chunk({ content: "b" })));
    expect(times).toBe(1);
  });
});

describe("an answer longer than what is kept of it", () => {
  const options = { hideUsage: true, secrets: ["up.example"], price: null, maxTextBytes: 20_000 };
  const piece = (at: number) => chunk({ content: `${at}`.padEnd(100, ".") });
  const pieces = Array.from({ length: 3_000 }, (_, at) => piece(at));

  /** The pieces one by one, then what follows. */
  function long(following: string[]) {
    const gate = new StreamGate(options);
    let text = "";
    let end: "done" | AppError | undefined;
    for (const event of [...pieces, ...following]) {
      const passage = gate.pass(encode(event));
      text += new TextDecoder().decode(passage.bytes);
      end = passage.end;
    }
    return { text, end, answer: gate.settle() };
  }

  it("reaches the client whole, and its beginning, its end and its usage are on record", () => {
    const { text, end, answer } = long([chunk({}, "stop"), usage(7, 30_000), done]);
    expect(text).toBe([...pieces, chunk({}, "stop"), done].join(""));
    expect(end).toBe("done");
    expect(answer.finishReason).toBe("stop");
    expect(answer.usage).toMatchObject({ promptTokens: 7, completionTokens: 30_000 });
    expect(answer.content?.length).toBeGreaterThanOrEqual(20_000);
    expect(answer.content?.length).toBeLessThan(20_000 + 4_096);
    expect(
      pieces
        .map((_, at) => `${at}`.padEnd(100, "."))
        .join("")
        .startsWith(answer.content ?? "-"),
    ).toBe(true);
  });

  it("is not read where nothing of it would be kept: a broken frame there passes unseen", () => {
    const { text, answer } = long(["data: {broken\n\n", chunk({}, "stop"), done]);
    expect(text).toContain("data: {broken\n\n");
    expect(answer.malformed).toBe(false);
    expect(answer.complete).toBe(true);
  });

  it("is told from one that breaks off or fails after that", () => {
    expect(long([]).answer.complete).toBe(false);
    const { text, end } = long(['data: {"error":{"message":"up.example is full"}}\n\n']);
    expect(end).toBeInstanceOf(AppError);
    expect(text).toBe(pieces.join(""));
  });

  it("keeps tool calls and reasoning that come after it", () => {
    const call = { index: 0, id: "call_1", type: "function", function: { name: "look", arguments: "{}" } };
    const { answer } = long([chunk({ reasoning_content: "Hm" }), chunk({ tool_calls: [call] }, "tool_calls"), done]);
    expect(answer.reasoning).toBe("Hm");
    expect(answer.toolCalls).toMatchObject([{ id: "call_1", function: { name: "look", arguments: "{}" } }]);
    expect(answer.finishReason).toBe("tool_calls");
  });
});
