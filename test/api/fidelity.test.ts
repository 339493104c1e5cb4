import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { chat, delta, event, events, scriptUpstream } from "../support/call.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});

const pieces = [
  "你",
  "好",
  "退款",
  "👨‍👩‍👧",
  "e\u0301",
  "é",
  "\u0928\u093f",
  "a",
  " ",
  "\n",
  "\r",
  '"',
  "\\",
  "\u2028",
  "𝒳",
  "[DONE]",
  '"error"',
  "data: ",
];
const text = fc.string({ unit: fc.constantFrom(...pieces), minLength: 1, maxLength: 12 });
const lineEnd = fc.constantFrom("\n", "\r\n", "\r");

/** Bytes cut at random places, or each on its own. */
function cut(bytes: Uint8Array, places: number[], single: boolean): Uint8Array[] {
  const at = single
    ? [...bytes.keys()]
    : [...new Set(places.map((place) => place % bytes.length))].sort((a, b) => a - b);
  return [...at, bytes.length].map((end, i) => bytes.slice(at[i - 1] ?? 0, end)).filter((piece) => piece.length > 0);
}

/** The text a client reads: the deltas of all events. */
function contentOf(stream: string): string {
  const lines = stream.replace(/\r\n|\r/g, "\n").split("\n");
  const data = lines
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice("data: ".length)));
  return data.map((body) => body.choices[0]?.delta.content ?? "").join("");
}

describe("a relayed stream", () => {
  it("is the upstream's bytes and text, for 1,000 random texts in random chunks down to single bytes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(text, { minLength: 1, maxLength: 5 }),
        lineEnd,
        fc.array(fc.nat(900), { maxLength: 12 }),
        fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
        async (texts, end, places, single) => {
          const stream = [...texts.map((content) => delta(content)), delta("", "stop"), event("[DONE]")]
            .join("")
            .replaceAll("\n", end);
          using _calls = scriptUpstream(() => events(...cut(new TextEncoder().encode(stream), places, single)));
          const { response } = await chat(secret, { stream: true });
          const relayed = new TextDecoder().decode(await response.arrayBuffer());
          expect(relayed).toBe(stream);
          expect(contentOf(relayed)).toBe(texts.join(""));
        },
      ),
      { numRuns: 1_000 },
    );
  }, 60_000);
});
