import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { Answer } from "../../src/core/answer.ts";
import { EventShape } from "../../src/core/eventShape.ts";
import { StreamGate } from "../../src/core/gate.ts";
import { isObject, parsedJson } from "../../src/core/json.ts";
import { eventData } from "../../src/core/sse.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(bytes);

const body = (content: string, choice: object = {}, extra: object = {}) => ({
  id: "c",
  object: "chat.completion.chunk",
  model: "m",
  choices: [{ index: 0, delta: { content }, logprobs: null, finish_reason: null, ...choice }],
  ...extra,
});
const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`;

function taken(shape: EventShape | null, text: string | Uint8Array) {
  const pieces: [number, string][] = [];
  const slice = typeof text === "string" ? encode(text) : text;
  const bytes = shape?.take(slice, (choice, content) => pieces.push([choice, decode(content)]));
  return { bytes, pieces };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("the shape of an event", () => {
  it("takes the content of those that differ in it alone, up to the first that does not", () => {
    const shape = EventShape.of(encode(event(body("Hello"))));
    const alike = ["", " world", 'an "escape"\n', "水坝 🌊", "[DONE]", "\u0000", "\\"].map((text) => event(body(text)));
    const other = event(body("late", {}, { created: 1 }));
    expect(taken(shape, alike.join("") + other + alike[0])).toEqual({
      bytes: encode(alike.join("")).length,
      pieces: ["", " world", 'an "escape"\n', "水坝 🌊", "[DONE]", "\u0000", "\\"].map((text) => [0, text]),
    });
    expect(taken(shape, other)).toEqual({ bytes: 0, pieces: [] });
  });

  it.each([
    [
      "blanks around the colon, CR LF and an index",
      'data: {"choices": [{"index": 2, "delta": {"content" : "a"}}]}\r\n\r\n',
      2,
    ],
    [
      "no blank after the field's name, no index",
      'data:{"choices":[{"delta":{"role":"assistant","content":"a"}}]}\n\n',
      0,
    ],
    [
      "more members than are read",
      event(body("a", { delta: { content: "a", refusal: null } }, { usage: null, x: [1] })),
      0,
    ],
  ])("is known of one with %s", (_, text, choice) => {
    expect(taken(EventShape.of(encode(text)), text.replace('"a"', '"bc"'))).toEqual({
      bytes: encode(text).length + 1,
      pieces: [[choice, "bc"]],
    });
  });

  it.each([
    ["two choices", event({ choices: [{ delta: { content: "a" } }, { delta: {} }] })],
    ["a finish reason", event(body("a", { finish_reason: "stop" }))],
    ["reasoning", event(body("", { delta: { content: "a", reasoning_content: "b" } }))],
    ["a tool call", event(body("", { delta: { content: "a", tool_calls: [{}] } }))],
    ["usage", event(body("a", {}, { usage: { prompt_tokens: 1, completion_tokens: 1 } }))],
    ["an error", event(body("a", {}, { error: { message: "b" } }))],
    ["an error in its choice", event(body("a", { error: { message: "b" } }))],
    ["a content elsewhere", event({ content: "a", choices: [{ delta: {} }] })],
    ["two contents", event(body("a", {}, { content: "b" }))],
    [
      "a content that another name spells out again",
      'data: {"choices":[{"delta":{"content":"a","conten\\u0074":"b"}}]}\n\n',
    ],
    ["a content that is no text", event(body("", { delta: { content: null } }))],
    ["a content in the text of another member", event(body("", { delta: { x: '"content":"' } }))],
    ["an event's name", `event: message\n${event(body("a"))}`],
    ["two lines of data", 'data: {"choices":[{"delta":\ndata: {"content":"a"}}]}\n\n'],
    ["a comment", `: on its way\n\n${event(body("a"))}`],
    ["broken JSON", 'data: {"choices":[{"delta":{"content":"a"}}\n\n'],
    ["an index that is no number", event(body("a", { index: "b" }))],
  ])("is not known of one with %s", (_, text) => {
    expect(EventShape.of(encode(text))).toBeNull();
  });

  it.each([
    ["an escape that is none", "\\x"],
    ["an escaped half of a character", "\\ud83c"],
    ["a control character", "\u0001"],
    ["a line's end", "a\nb"],
    ["a quote", 'a"b'],
    ["a member that follows", 'a","b":"c'],
    ["an escape at the end", "\\"],
  ])("is not that of one with %s", (_, content) => {
    const [before = "", after = ""] = event(body("·")).split("·");
    const shape = EventShape.of(encode(`${before}a${after}`));
    expect(taken(shape, `${before}${content}${after}`)).toEqual({ bytes: 0, pieces: [] });
    expect(taken(shape, `${before}b${after}`).pieces).toEqual([[0, "b"]]);
  });

  it("is not that of one whose content begins or ends within a character", () => {
    const [before = "", after = ""] = event(body("·")).split("·");
    const shape = EventShape.of(encode(`${before}a${after}`));
    const wave = encode("🌊");
    for (let cut = 1; cut < wave.length; cut++)
      for (const half of [wave.subarray(0, cut), wave.subarray(cut)])
        expect(taken(shape, Uint8Array.of(...encode(before), ...half, ...encode(after))).bytes).toBe(0);
    for (const cut of ["é", "水", "🌊"]) expect(taken(shape, before + cut + after).pieces).toEqual([[0, cut]]);
  });
});

/** Events as servers send them: alike for a while, then others. */
const piece = fc.string({
  unit: fc.constantFrom("a", "水", "🌊", '"', "\\", "\n", "\u2028", '"content":"', "[DONE]", "\ud83c", "\udf0a"),
  maxLength: 6,
});
const kinds: ((content: string) => string)[] = [
  (content) => event(body(content)),
  (content) => event(body(content)),
  (content) => event(body(content)).replaceAll("\n", "\r\n"),
  (content) => event(body(content, { index: 1 })),
  (content) => event(body(content, {}, { model: "another" })),
  (content) => event(body("", { delta: { content, reasoning: content } })),
  (content) => event(body("", { delta: { role: "assistant", content } })),
  (content) => event(body("", { delta: { tool_calls: [{ index: 0, function: { name: "f", arguments: content } }] } })),
  (content) => event(body("", { delta: { content: [{ type: "text", text: content }] } })),
  (content) => `: ${content.replaceAll(/[\r\n]/g, "")}\n\n`,
  (content) => event(body("", { delta: { reasoning: content } }, { model: "third" })),
  () => "data: {half\n\n",
  (content) => event(body(content, {}, { usage: { prompt_tokens: 1, completion_tokens: content.length } })),
];

describe("a gate that knows the shape of its stream's events", () => {
  it("reads the same answer as one that parses each event, and passes the same bytes", () => {
    const run = fc.record({ kind: fc.nat(kinds.length - 1), pieces: fc.array(piece, { minLength: 1, maxLength: 8 }) });
    fc.assert(
      fc.property(fc.array(run, { maxLength: 8 }), fc.array(fc.nat(4_000), { maxLength: 40 }), (runs, places) => {
        const texts = ["a", ...runs.flatMap(({ kind, pieces }) => pieces.map((each) => kinds[kind]?.(each) ?? ""))];
        const stream = texts.join("").replace("a", event(body("first")));
        const bytes = encode(stream);
        const cuts = [...new Set(places.map((at) => at % bytes.length))].sort((a, b) => a - b);
        const gate = new StreamGate({ hideUsage: true, secrets: [], price: null });
        const passed = [...cuts, bytes.length].map((at, i) =>
          decode(gate.pass(bytes.slice(cuts[i - 1] ?? 0, at)).bytes),
        );
        const plain = new Answer();
        for (const data of eventData(decode(bytes))) {
          const parsed = parsedJson(data);
          if (isObject(parsed)) plain.add(parsed);
          else plain.malformed = true;
        }
        const read = gate.settle();
        expect(facts(read)).toEqual(facts(plain));
        expect(passed.join("")).toBe(decode(bytes));
      }),
      { numRuns: 400 },
    );
  });

  it("forgets it where another event comes, which may have told more than a content", () => {
    const gate = new StreamGate({ hideUsage: true, secrets: [], price: null });
    const other = event(body("", { delta: { reasoning: "b" } }, { model: "another" }));
    for (const text of [event(body("a")), event(body("a")), event(body("a")), other, event(body("a"))])
      gate.pass(encode(text));
    expect(gate.settle()).toMatchObject({ model: "m", content: "aaaa", reasoning: "b" });
  });

  it("parses few of them, and goes on so after those that are different", () => {
    const gate = new StreamGate({ hideUsage: true, secrets: [], price: null });
    const parses = vi.spyOn(JSON, "parse");
    for (let at = 0; at < 1_000; at++)
      gate.pass(encode(event(body(`${at} `, at % 100 === 50 ? { finish_reason: "length" } : {}))));
    expect(gate.settle().content).toBe(Array.from({ length: 1_000 }, (_, at) => `${at} `).join(""));
    expect(parses.mock.calls.length).toBeLessThan(60);
  });

  it("looks for it so often, and then no more, where no two are alike", () => {
    const gate = new StreamGate({ hideUsage: true, secrets: [], price: null });
    const looks = vi.spyOn(EventShape, "of");
    for (let at = 0; at < 100; at++) gate.pass(encode(event(body("a", {}, { created: at }))));
    expect(gate.settle().content).toBe("a".repeat(100));
    expect(looks).toHaveBeenCalledTimes(limits.shapeLessons);
  });
});

function facts({ model, malformed, usage, finishReason, content, reasoning, toolCalls, complete, begun }: Answer) {
  return { model, malformed, usage, finishReason, content, reasoning, toolCalls, complete, begun };
}
