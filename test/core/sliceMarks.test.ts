import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { marksOf } from "../../src/core/sliceMarks.ts";

const marks = (text: string) => marksOf(new TextEncoder().encode(text));
const chunk = (delta: object, more: object = {}) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }], usage: null, ...more })}\n\n`;
const content = chunk({ content: "An error, its usage: {1}, event: [DONE]?".replace("[DONE]", "done") });

describe("what the bytes of a slice tell", () => {
  it.each([
    ["content", content, false, false],
    ["a comment", `: ping\n\n${content}`, false, false],
    [
      "text that spells marks out",
      chunk({ content: '"error" "usage":{} "finish_reason":"stop" \nevent: x' }),
      false,
      false,
    ],
    ["nothing", "", false, false],
    ["the last event", `${content}data: [DONE]\n\n`, true, true],
    ["an error", 'data: {"error":{"message":"x"}}\n\n', true, true],
    ["usage", chunk({}, { usage: { total_tokens: 1 } }), true, true],
    ["usage with blanks", 'data: {"choices":[],"usage" :\t{ "total_tokens": 1}}\n\n', true, true],
    ["an event with a type", `${content}event: error\ndata: x\n\n`, true, true],
    ["an event with a type after a CR", `data: x\r\revent: error\rdata: x\r\r`, true, true],
    ["an event with a type, first of all", "event: error\ndata: x\n\n", true, true],
    ["the same after a byte order mark", "\ufeffevent: error\ndata: x\n\n", true, true],
    ["a finish reason", `${content}data: {"choices":[{"finish_reason":"stop"}]}\n\n`, false, true],
    ["a finish reason with blanks", 'data: {"choices":[{"finish_reason" : "stop"}]}\n\n', false, true],
    ["tool calls", chunk({ tool_calls: [{ index: 0 }] }), false, true],
    ["reasoning", chunk({ reasoning: "Hm" }), false, true],
    ["reasoning by its other name", chunk({ reasoning_content: "Hm" }), false, true],
  ])("%s", (_, text, worthALook, moreThanContent) => {
    expect(marks(text)).toEqual({ worthALook, moreThanContent });
  });

  it("is what a search in the text finds, whatever the text", () => {
    const pieces = [
      '"error"',
      '"usage"',
      '"err',
      "[DONE]",
      "[D",
      "event:",
      "even",
      ":",
      "{",
      '"',
      " ",
      "\n",
      "\r",
      "\t",
      "é",
      "x",
    ];
    const rest = ['"finish_reason"', '"tool_calls"', '"reasoning', '"reasoning_content"', "null", "[", "e"];
    const text = fc.array(fc.constantFrom(...pieces, ...rest), { maxLength: 12 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, (slice) => {
        const look = /\[DONE\]|"error"|"usage"[ \t\r\n]*:[ \t\r\n]*\{|^event:|[\r\n]event:/.test(slice);
        const more = /"tool_calls"|"reasoning|"finish_reason"[ \t\r\n]*:[ \t\r\n]*"/.test(slice);
        expect(marks(slice)).toEqual({ worthALook: look, moreThanContent: look || more });
      }),
      { numRuns: 5_000 },
    );
  });
});
