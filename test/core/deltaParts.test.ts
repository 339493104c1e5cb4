import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { type AnswerDelta, ToldAnswer } from "../../src/core/answerDelta.ts";
import { deltaParts } from "../../src/core/deltaParts.ts";

const rowBytes = 2_000_000;
const bytesOf = (part: AnswerDelta) => new TextEncoder().encode(JSON.stringify(part)).length;

function told(deltas: readonly AnswerDelta[]) {
  const answer = new ToldAnswer();
  for (const delta of deltas) answer.add({ seq: 1, type: "delta", ...delta });
  return { ...answer };
}

/** A text of so many times a piece, each time with another number: what is out of place shows. */
const long = fc.record({ piece: fc.constantFrom("x", "水坝", "🌊", "\u0001", '"'), times: fc.nat({ max: 60_000 }) });
type Long = { piece: string; times: number };

function textOf(of: Long | undefined): string | undefined {
  return of && Array.from({ length: of.times }, (_, at) => `${of.piece.repeat(8)}${at % 7}`).join("");
}

/** A delta's texts, written out: only their descriptions are worth showing when the property fails. */
function writtenOut(of: { content?: Long; reasoning?: Long; toolCalls?: { index: number; arguments?: Long }[] }) {
  return JSON.parse(
    JSON.stringify({
      content: textOf(of.content),
      reasoning: textOf(of.reasoning),
      toolCalls: of.toolCalls?.map((call) => ({ ...call, arguments: textOf(call.arguments) })),
    }),
  ) as AnswerDelta;
}

describe("a delta in parts", () => {
  it("tells the same, and no part is too long for a row", { timeout: 60_000 }, () => {
    const call = fc.record(
      { index: fc.nat(2), id: fc.constant("call_1"), name: fc.constant("look"), arguments: long },
      { requiredKeys: ["index"] },
    );
    const deltas = fc.record(
      { content: long, reasoning: long, toolCalls: fc.array(call, { minLength: 1, maxLength: 3 }) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(deltas, (described) => {
        const delta = writtenOut(described);
        const parts = deltaParts(delta);
        expect(JSON.stringify(told(parts)) === JSON.stringify(told([delta]))).toBe(true);
        expect(Math.max(0, ...parts.map(bytesOf))).toBeLessThan(rowBytes);
      }),
      { numRuns: 25 },
    );
  });

  it("is one part where it is short, with what is empty in it", () => {
    const delta = { reasoning: "", content: "Hi", toolCalls: [{ index: 0 }, { index: 1, id: "a", name: "f" }] };
    expect(deltaParts(delta)).toEqual([delta]);
  });

  it("cuts no character in half", () => {
    const content = `x${"🌊".repeat(limits.maxDeltaChars)}`;
    const parts = deltaParts({ content });
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.every((part) => part.content?.isWellFormed())).toBe(true);
  });

  it("puts an id of any length beside nothing that would make a row too long", () => {
    const id = "i".repeat(limits.maxEventBytes);
    const parts = deltaParts({ content: "Hi", toolCalls: [{ index: 0, id, name: id, arguments: id }] });
    expect(told(parts).toolCalls).toEqual([{ id, type: "function", function: { name: id, arguments: id } }]);
    expect(Math.max(...parts.map(bytesOf))).toBeLessThan(rowBytes);
  });
});
