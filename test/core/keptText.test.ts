import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { KeptText } from "../../src/core/keptText.ts";

function kept(pieces: readonly string[]): string {
  const text = new KeptText();
  for (const piece of pieces) text.append(piece);
  return text.toString();
}

describe("a kept text", () => {
  it("is what came, wherever it was cut: also between the halves of a surrogate pair", () => {
    const cuts = fc.array(fc.nat(60), { maxLength: 8 });
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), cuts, (whole, at) => {
        const text = whole.toWellFormed();
        const places = [...at, text.length].sort((a, b) => a - b);
        const pieces = places.map((end, index) => text.slice(places[index - 1] ?? 0, end));
        expect(kept(pieces)).toBe(text);
      }),
    );
  });

  it("is whole over many blocks", () => {
    const pieces = Array.from({ length: 20_000 }, (_, at) => ` 水坝${at}🌊`);
    expect(kept(pieces)).toBe(pieces.join(""));
  });

  it("is the same whether its pieces come as text or as bytes, over many blocks", () => {
    const piece = fc.record({
      text: fc.string({ unit: fc.constantFrom("a", "水", "🌊", "\ud83c", "\udf0a"), maxLength: 8 }),
      times: fc.constantFrom(1, 1, 1, 500, 3_000),
      asBytes: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = new KeptText(Number.POSITIVE_INFINITY);
        const whole: string[] = [];
        for (const { text: each, times, asBytes } of pieces)
          for (let at = 0; at < times; at++) {
            if (asBytes) text.appendUtf8(new TextEncoder().encode(each.toWellFormed()));
            else text.append(each);
            whole.push(asBytes ? each.toWellFormed() : each);
          }
        expect(text.toString().toWellFormed() === whole.join("").toWellFormed()).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it("drops what comes after as much as can be stored, but keeps a single piece as it is", () => {
    const piece = "x".repeat(limits.maxStoredAnswerBytes - 1);
    expect(kept([piece, "abc", "dropped"])).toBe(`${piece}abc`);
    const huge = `${"y".repeat(2 * limits.maxStoredAnswerBytes)}\ud800`;
    expect(kept([huge])).toBe(huge);
  });

  it("drops bytes that come after as much as can be stored", () => {
    const text = new KeptText(10);
    for (const piece of ["first ", "水坝", "dropped"]) text.appendUtf8(new TextEncoder().encode(piece));
    expect([`${text}`, text.size]).toEqual(["first 水坝", 12]);
  });

  it("keeps nothing of what has been taken, and goes on from there", () => {
    const text = new KeptText(Number.POSITIVE_INFINITY);
    const piece = "水坝".repeat(limits.maxStoredAnswerBytes / 12);
    const taken: string[] = [];
    for (let at = 0; at < 12; at++) {
      text.append(piece);
      text.append(`${at}`);
      if (at % 3 === 2) taken.push(text.take());
    }
    expect(taken.join("") === Array.from({ length: 12 }, (_, at) => piece + at).join("")).toBe(true);
    expect([text.isEmpty, text.take()]).toEqual([true, ""]);
  });

  it("knows whether it is empty", () => {
    const text = new KeptText();
    expect([text.isEmpty, `${text}`]).toEqual([true, ""]);
    text.append("");
    expect(text.isEmpty).toBe(true);
    text.append("a");
    text.append("b");
    expect([text.isEmpty, `${text}`]).toEqual([false, "ab"]);
  });
});
