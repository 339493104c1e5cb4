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

  it("drops what comes after as much as can be stored, but keeps a single piece as it is", () => {
    const piece = "x".repeat(limits.maxStoredAnswerBytes - 1);
    expect(kept([piece, "abc", "dropped"])).toBe(`${piece}abc`);
    const huge = `${"y".repeat(2 * limits.maxStoredAnswerBytes)}\ud800`;
    expect(kept([huge])).toBe(huge);
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
