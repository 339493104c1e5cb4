import { env } from "cloudflare:workers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { newId } from "../../src/core/ids.ts";
import type { RecordedContents } from "../../src/core/runRecord.ts";
import { database } from "../../src/store/db.ts";
import { listRuns } from "../../src/store/runList.ts";
import { factTokens, indexedText } from "../../src/store/runSearch.ts";
import { settleRun } from "../../src/store/runs.ts";
import { anOutcome, aStart, someContents } from "../support/runRecords.ts";

const db = database(env.DB);
const settle = settleRun(db);
const list = listRuns(db);

/** A project whose only run said `contents`. */
async function projectOf(contents: Partial<RecordedContents>): Promise<string> {
  const start = aStart({ projectId: newId("prj") });
  await settle(start, anOutcome(), someContents({ messages: [], content: null, ...contents }));
  return start.projectId;
}

const finds = async (projectId: string, text: string) =>
  (await list(projectId, { limit: 10, text })).items.length === 1;

describe("the tokens of facts", () => {
  const facts = fc.record({
    projectId: fc.string({ unit: "grapheme" }),
    template: fc.string({ unit: "grapheme", maxLength: 4 }),
    version: fc.integer({ min: 1, max: 30 }),
    metadata: fc.dictionary(fc.string({ maxLength: 3 }), fc.string({ maxLength: 3 }), { maxKeys: 2 }),
  });

  it("are plain words that nothing can break", () => {
    fc.assert(
      fc.property(facts, (some) => {
        for (const token of factTokens(some)) expect(token).toMatch(/^[a-z][0-9a-fx]*$/);
      }),
    );
  });

  it("differ where facts differ", () => {
    fc.assert(
      fc.property(facts, facts, (one, other) => {
        const sorted = (some: typeof one) =>
          JSON.stringify({ ...some, metadata: Object.entries(some.metadata).sort() });
        expect(factTokens(one).sort().join() === factTokens(other).sort().join()).toBe(sorted(one) === sorted(other));
      }),
    );
    const pairs: Record<string, string>[] = [
      { a: "bc" },
      { ab: "c" },
      { "a=b": "c" },
      { a: "b=c" },
      { axb: "c" },
      { a: "bxc" },
    ];
    const tokens = pairs.map((metadata) => factTokens({ projectId: "p", metadata })[1]);
    expect(new Set(tokens).size).toBe(pairs.length);
  });
});

describe("a search by text", () => {
  it.each([
    ["a word whatever its case", "The PARCEL was lost", "parcel"],
    ["several words in any order", "the parcel was lost", "lost parcel"],
    ["an unfinished last word", "the parcel was lost", "was parc"],
    ["full-width forms by plain ones", "ＧＰＴ４", "gpt4"],
    ["composed letters however written", "caf\u0065\u0301", "café"],
    ["two Chinese characters inside a sentence", "请问明天天气怎么样", "天气"],
    ["a whole Chinese sentence", "请问明天天气怎么样?", "请问明天天气怎么样"],
    ["Chinese beside Latin", "用GPT写一封道歉信", "gpt 道歉"],
    ["Japanese", "昨日のデータを見せてください", "データ"],
    ["Korean", "내일날씨알려줘", "날씨"],
    ["rare Han characters", "姓𠮷野屋的人", "𠮷野"],
    ["scripts with combining marks", "यह हिन्दी है", "हिन्दी"],
    ["numbers", "order 12345-67", "12345"],
  ])("finds %s", async (_, content, text) => {
    expect(await finds(await projectOf({ content }), text)).toBe(true);
  });

  it.each([
    ["the same characters in another order", "明天天气", "气天"],
    ["characters that do not touch", "天上下雨, 气死我了", "天气"],
    ["an unfinished word that is not the last", "the parcel was lost", "parc lost"],
    ["one word of two", "the parcel was lost", "parcel found"],
    ["the inside of a word", "unbelievable", "believ"],
    ["the words of the index's own language as such", "nothing here", "facets NOT OR NEAR"],
  ])("does not find %s", async (_, content, text) => {
    expect(await finds(await projectOf({ content }), text)).toBe(false);
  });

  it("sees every message and part with text, and nothing of other projects", async () => {
    const projectId = await projectOf({
      messages: [
        { role: "system", content: "alpha" },
        {
          role: "user",
          content: [
            { type: "text", text: "beta" },
            { type: "image_url", image_url: { url: "https://x.test/gamma" } },
          ],
        },
        { role: "assistant", content: null },
        { role: "assistant" },
      ],
      content: "delta",
    });
    for (const word of ["alpha", "beta", "delta", "alpha delta"]) expect(await finds(projectId, word)).toBe(true);
    expect(await finds(projectId, "gamma")).toBe(false);
    expect(await finds(await projectOf({ content: "other" }), "alpha")).toBe(false);
  });

  it("finds any run by its own words, and no text breaks out of the query", async () => {
    const anyText = fc.oneof(
      fc.string({ unit: "binary", maxLength: 40 }),
      fc.string({ unit: "grapheme", maxLength: 40 }),
      fc
        .array(
          fc.constantFrom('"', "'", "*", "(", ")", "^", "-", "+", ":", "{", "AND", "OR", "NEAR", "facets", "天", "é"),
        )
        .map((parts) => parts.join(" ")),
    );
    await fc.assert(
      fc.asyncProperty(anyText, async (text) => {
        const projectId = await projectOf({ content: text });
        const found = await finds(projectId, text).catch((error: unknown) => error);
        if (/[[\p{L}\p{N}]--[\u19b0-\u19c0\u19c8\u19c9\u1cf2\u1cf3]]/v.test(text.normalize("NFKC")))
          expect(found).toBe(true);
        else expect(found).toMatchObject({ code: "invalid_request", param: "text" });
      }),
      { numRuns: 150 },
    );
  }, 60_000);

  it("refuses a text without a letter or digit", async () => {
    await expect(list(newId("prj"), { limit: 10, text: '"* - !' })).rejects.toMatchObject({
      code: "invalid_request",
      param: "text",
    });
  });
});

describe("what a long run is found by", () => {
  const long = (word: string) => `${word} `.repeat(limits.maxIndexedChars);

  it("is the answer's first half and the newest messages", () => {
    const text = indexedText(
      someContents({
        messages: [
          { role: "user", content: "oldest" },
          { role: "user", content: `middle ${long("m")}` },
          { role: "user", content: "newest" },
        ],
        content: `${long("a").slice(0, limits.maxIndexedChars / 2 - 8)} inside outside`,
      }),
    );
    expect(text).toMatch(/^a .*inside.*newest middle m/);
    expect(text).not.toMatch(/outside|oldest/);
    expect(text.length).toBeLessThanOrEqual(limits.maxIndexedChars + 2);
  });

  it("takes all room for messages when the answer is short, and for the answer when messages are", () => {
    const messages = indexedText(someContents({ messages: [{ role: "user", content: long("m") }], content: "ok" }));
    const answer = indexedText(someContents({ messages: [{ role: "user", content: "hi" }], content: long("a") }));
    for (const text of [messages, answer]) expect(text.length).toBeGreaterThan(limits.maxIndexedChars - 10);
    expect(messages).toMatch(/^ok m m/);
    expect(answer).toMatch(/a hi$/);
  });

  it("stays bounded when every character expands", () => {
    const text = indexedText(someContents({ messages: [], content: "\ufdfa".repeat(limits.maxIndexedChars) }));
    expect(text.length).toBeLessThan(20 * limits.maxIndexedChars);
  });
});
