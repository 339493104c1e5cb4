import { env } from "cloudflare:workers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { RunContents } from "../../src/contract/runs.ts";
import { newId } from "../../src/core/ids.ts";
import { database } from "../../src/store/db.ts";
import { packContents, unpackContents } from "../../src/store/runContents.ts";
import { findRun, settleRun } from "../../src/store/runs.ts";
import { type MeteredD1, meteredD1 } from "../support/meteredD1.ts";
import { anOutcome, aStart, someContents } from "../support/runRecords.ts";

const bytes = (text: string) => new TextEncoder().encode(text).length;

function packed(fields: Parameters<typeof someContents>[0]) {
  const { request, answer, cut } = packContents(someContents(fields));
  expect(bytes(request)).toBeLessThanOrEqual(limits.maxStoredRequestBytes);
  expect(bytes(answer)).toBeLessThanOrEqual(limits.maxStoredAnswerBytes);
  const contents = unpackContents({ request: JSON.parse(request), answer: JSON.parse(answer), cut });
  expect(RunContents.parse(contents)).toEqual(contents);
  return { contents, request, answer };
}

describe("stored contents", () => {
  it("are whole and unmarked up to the last byte of the limit", () => {
    const empty = bytes(packed({ content: "" }).answer);
    const fitting = "天".repeat(Math.floor((limits.maxStoredAnswerBytes - empty) / 3));
    expect(packed({ content: fitting }).contents).toMatchObject({ content: fitting, cut: false });
    const { contents } = packed({ content: `${fitting}天` });
    expect(contents).toMatchObject({ cut: true, answerCut: true });
    // The mark takes some bytes too.
    expect(fitting.startsWith(contents.content ?? "nothing")).toBe(true);
    expect(contents.content?.length).toBeGreaterThan(fitting.length - 10);
  });

  it("lose the end of the longest strings only", () => {
    const { contents } = packed({
      messages: [
        { role: "system", content: "Be brief.", name: "house" },
        {
          role: "user",
          content: [
            { type: "text", text: "x".repeat(2_000_000) },
            { type: "text", text: "why?" },
          ],
        },
        { role: "user", content: "y".repeat(2_000_000) },
      ],
    });
    expect(contents.cut).toBe(true);
    expect(contents).not.toHaveProperty("answerCut");
    expect(contents.messages[0]).toEqual({ role: "system", content: "Be brief.", name: "house" });
    expect(contents.messages[1]?.content?.[1]).toEqual({ type: "text", text: "why?" });
    expect(contents.messages[2]?.content).toMatch(/^y{370000,375000}$/);
    expect(contents.request).toEqual({ model: "large", temperature: 0.5 });
    expect(contents.variables).toEqual({ order: "A-17" });
    expect(contents.content).toBe("It is on its way.");
  });

  it("keep an outline when the structure alone is too large", () => {
    const { contents } = packed({
      messages: Array.from({ length: limits.maxMessages + 1 }, (_, index) => ({
        role: "user" as const,
        content: `${index} ${"\u0001".repeat(500)}`,
      })),
      request: { numbers: Array.from({ length: 400_000 }, () => 1) },
      content: "\u0001".repeat(300_000),
      reasoning: "because ".repeat(100_000),
      toolCalls: Array.from({ length: 300_000 }, () => ({})),
    });
    expect(contents).toMatchObject({ cut: true, answerCut: true, request: {}, variables: null, toolCalls: [] });
    expect(contents.messages.length).toBe(limits.maxMessages);
    expect(contents.messages[0]?.content).toMatch(/^1 /);
    expect(contents.content?.length).toBeGreaterThan(50_000);
    expect(contents.reasoning?.length).toBeGreaterThan(300_000);
  });

  it("fit and stay valid whatever the strings hold", () => {
    const piece = fc.oneof(
      fc.string({ unit: "binary", minLength: 1 }),
      fc.constantFrom('"', "\\", "\u0000", "\ud800", "😀", "天"),
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 2, maxLength: 5 }), fc.integer({ min: 1, max: 9 }), (pieces, scale) => {
        const texts = pieces.map((each) => each.repeat(Math.ceil((scale * 100_000) / each.length)));
        const { contents } = packed({
          content: texts[0] ?? "",
          messages: texts.map((content) => ({ role: "user", content })),
        });
        for (const [index, message] of contents.messages.entries())
          expect(texts[index]?.startsWith(String(message.content))).toBe(true);
      }),
      { numRuns: 15 },
    );
  }, 60_000);

  it("come back from the database as they were cut", async () => {
    const db = database(env.DB);
    const start = aStart({ projectId: newId("prj") });
    const contents = someContents({ content: "天气".repeat(200_000), reasoning: '"\\\u0000' });
    await settleRun(db)(start, anOutcome(), contents);
    const found = await findRun(db)(start.projectId, start.id);
    expect(found?.contents).toMatchObject({ cut: true, reasoning: '"\\\u0000', messages: contents.messages });
    expect(found?.contents?.content).toMatch(/^(天气){120000,}天?$/);
  });
});

/** Bytes of the longest value that was bound to a statement. */
function longestParam({ statements }: MeteredD1): number {
  return Math.max(...statements.flatMap(({ params }) => params.map((param) => bytes(String(param)))));
}

describe("contents of runs that are written together", () => {
  it("are each run's own, to the last character, long or short", async () => {
    const settle = settleRun(database(env.DB));
    const find = findRun(database(env.DB));
    const projectId = newId("prj");
    const request = fc.object({ maxDepth: 3, withBigInt: false, withUndefined: false } as fc.ObjectConstraints);
    const text = fc.string({
      unit: fc.constantFrom("a", "水", "🌊", '"', "\\", "\n", "\u2028", "\ud800", "\0", "'", "]}"),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ request, text, long: fc.boolean() }), { minLength: 1, maxLength: 6 }),
        async (runs) => {
          const settled = runs.map(({ request, text, long }) => ({
            start: aStart({ projectId }),
            contents: someContents({
              request: JSON.parse(JSON.stringify(request)),
              content: long ? text + "x".repeat(limits.longAnswerBytes) : text,
              variables: { text },
            }),
          }));
          await Promise.all(settled.map(({ start, contents }) => settle(start, anOutcome(), contents)));
          for (const { start, contents } of settled)
            expect((await find(projectId, start.id))?.contents).toEqual({ ...contents, cut: false });
        },
      ),
      { numRuns: 20 },
    );
  });

  it("are written at once, however deep their outputs are nested and however many bytes their characters take", async () => {
    const metered = meteredD1(env.DB);
    const settle = settleRun(database(metered));
    const find = findRun(database(metered));
    const projectId = newId("prj");
    const output = JSON.parse("[".repeat(5_000) + "]".repeat(5_000));
    const runs = [{ output }, ...Array.from({ length: 11 }, () => ({ content: "水".repeat(64_000) }))].map(
      (fields) => ({
        start: aStart({ projectId }),
        contents: someContents(fields),
      }),
    );
    await Promise.all(runs.map(({ start, contents }) => settle(start, anOutcome(), contents)));
    const settling = metered.statements.filter(({ sql }) => sql.includes("settled_by") && sql.includes("returning"));
    expect(settling).toHaveLength(1);
    expect(longestParam(metered)).toBeLessThanOrEqual(limits.maxBoundJsonBytes);
    for (const { start, contents } of runs) {
      const found = (await find(projectId, start.id))?.contents;
      expect(JSON.stringify(found?.output)).toBe(JSON.stringify(contents.output));
      expect(found?.content).toBe(contents.content);
    }
  });

  it("are written as long as they may be, also where each character is an escape", async () => {
    const projectId = newId("prj");
    const start = aStart({ projectId });
    const text = '"'.repeat(370_000);
    const contents = someContents({ messages: [{ role: "user", content: text }], content: text });
    const metered = meteredD1(env.DB);
    expect(await settleRun(database(metered))(start, anOutcome(), contents)).toBe(true);
    // D1 takes no longer ones; the local one would.
    expect(longestParam(metered)).toBeLessThanOrEqual(limits.maxBoundJsonBytes);
    const found = await findRun(database(metered))(projectId, start.id);
    expect(found?.contents).toEqual({ ...contents, cut: false });
  });
});
