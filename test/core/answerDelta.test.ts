import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Answer } from "../../src/core/answer.ts";
import { AnswerCursor, ToldAnswer } from "../../src/core/answerDelta.ts";

const text = fc.string({ unit: "binary", maxLength: 4 });
const piece = fc.record(
  {
    content: text,
    reasoning: text,
    tool_calls: fc.array(
      fc.record(
        {
          index: fc.nat(2),
          id: fc.constant("call_1"),
          function: fc.record({ name: fc.constant("look"), arguments: text }, { requiredKeys: [] }),
        },
        { requiredKeys: ["index"] },
      ),
      { maxLength: 2 },
    ),
  },
  { requiredKeys: [] },
);

describe("an answer told in pieces", () => {
  it("is the answer, wherever it is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ piece, tell: fc.boolean() })), (steps) => {
        const whole = new Answer();
        const answer = new Answer();
        const cursor = new AnswerCursor();
        const told = new ToldAnswer();
        const tell = () => {
          const delta = cursor.advance(answer);
          if (delta) told.add(JSON.parse(JSON.stringify({ seq: 1, type: "delta", ...delta })));
        };
        for (const { piece, tell: now } of steps) {
          for (const one of [whole, answer]) one.add({ choices: [{ index: 0, delta: piece }] });
          if (now) tell();
        }
        tell();
        expect(cursor.advance(answer)).toBeNull();
        expect(told.content).toBe(whole.content);
        expect(told.reasoning).toBe(whole.reasoning);
        expect(told.toolCalls).toEqual(whole.toolCalls);
        expect([told.begun, answer.begun]).toEqual([whole.begun, whole.begun]);
      }),
    );
  });

  it("begins anew with each attempt", () => {
    const told = new ToldAnswer();
    told.add({ seq: 1, type: "status", status: "running", attempt: 1 });
    told.add({ seq: 2, type: "delta", content: "half a" });
    told.add({ seq: 3, type: "status", status: "running", attempt: 2 });
    expect(told.content).toBeNull();
    told.add({ seq: 4, type: "delta", content: "whole" });
    expect(told.content).toBe("whole");
  });
});
