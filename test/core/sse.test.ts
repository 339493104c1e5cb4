import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { EventSplitter, eventData, splitEvents } from "../../src/core/sse.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Cuts bytes at the given places. */
function cutAt(bytes: Uint8Array, places: number[]): Uint8Array[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...sorted, bytes.length].map((place, i) => bytes.slice(sorted[i - 1] ?? 0, place));
}

function pushAll(chunks: Uint8Array[]): { slices: string[]; rest: string } {
  const splitter = new EventSplitter();
  const slices = chunks.map((chunk) => splitter.push(chunk)).filter((slice) => slice !== null);
  return { slices: slices.map(decode), rest: decode(splitter.rest()) };
}

describe("splitting a stream into events", () => {
  const sample =
    'data: {"a":"你好"}\r\n\r\n: comment\n\ndata: x\rdata: y\r\revent: e\nid: 7\ndata:z\n\ndata: [DONE]\n\n';

  it("yields the same bytes and only whole events, split at any one byte", () => {
    const bytes = encode(sample);
    for (let at = 0; at <= bytes.length; at++) {
      const { slices, rest } = pushAll([bytes.slice(0, at), bytes.slice(at)]);
      expect(slices.join("") + rest).toBe(sample);
      expect(rest).toBe("");
      for (const slice of slices) expect(slice).toMatch(/(\n\n|\r\r|\r\n\r\n?)$/);
    }
  });

  it("yields the same bytes and the same data under any chunking", () => {
    const eol = fc.constantFrom("\n", "\r", "\r\n");
    const event = fc
      .tuple(fc.array(fc.string({ unit: "grapheme" }), { minLength: 1, maxLength: 4 }), eol)
      .map(([lines, end]) => lines.map((line) => `data: ${line.replace(/[\r\n]/g, "")}${end}`).join("") + end);
    fc.assert(
      fc.property(fc.array(event, { maxLength: 8 }), fc.array(fc.nat(500)), (events, places) => {
        const text = events.join("");
        const { slices, rest } = pushAll(cutAt(encode(text), places));
        expect(slices.join("") + rest).toBe(text);
        expect(slices.flatMap((slice) => eventData(slice))).toEqual(eventData(text));
      }),
      { numRuns: 500 },
    );
  });

  it("keeps an unfinished event until its blank line comes", () => {
    const splitter = new EventSplitter();
    expect(splitter.push(encode("data: a\n"))).toBeNull();
    expect(decode(splitter.rest())).toBe("data: a\n");
    expect(decode(splitter.push(encode("\ndata: b")) ?? encode(""))).toBe("data: a\n\n");
    expect(decode(splitter.rest())).toBe("data: b");
  });

  it("refuses an event larger than the bound instead of buffering it", () => {
    const splitter = new EventSplitter();
    const piece = encode("x".repeat(100_000));
    expect(() => {
      for (let sent = 0; sent < 2 * limits.maxEventBytes; sent += piece.length) splitter.push(piece);
    }).toThrow(expect.objectContaining({ code: "upstream_error" }));
  });

  it("separates single events without losing a byte", () => {
    const events = splitEvents(encode(sample)).map(decode);
    expect(events.join("")).toBe(sample);
    expect(events).toHaveLength(5);
  });

  it("joins several data lines, takes data without a space, and ignores comments and a byte order mark", () => {
    expect(eventData("\uFEFFdata: a\ndata: b\n\n: nothing\n\ndata:c\n\n")).toEqual(["a\nb", "c"]);
  });
});
