import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { CreateTriggerInput } from "../../src/contract/triggers.ts";
import { newBudget } from "../../src/core/expressions.ts";
import { mapMetadata, parseMapping } from "../../src/core/mapping.ts";
import { parsePayload } from "../../src/core/payload.ts";

const parsed = (settings: object) =>
  parseMapping(CreateTriggerInput.parse({ name: "t", scheme: "github", template: "t", ...settings }));

describe("a pair of metadata", () => {
  const metadataOf = (metadata: Record<string, unknown>, text: string, headers = {}) =>
    mapMetadata(parsed({ metadata }), {
      input: { text, headers, body: parsePayload(text, null) },
      budget: newBudget(),
    });

  it("is text, whatever the payload has there, and is left out where that is nothing", () => {
    const text = '{"n":7,"user":{"login":"ada"},"none":null,"yes":true}';
    const metadata = {
      issue: "n",
      user: "user",
      none: "none",
      yes: "yes",
      team: { value: 3 },
      kind: { header: "X-Kind" },
      stage: { expression: "none", default: "new" },
    };
    expect(metadataOf(metadata, text, { "x-kind": "k" })).toEqual({
      issue: "7",
      user: '{"login":"ada"}',
      yes: "true",
      team: "3",
      kind: "k",
      stage: "new",
    });
  });

  it("is cut to what metadata may hold, between characters, and holds text alone", () => {
    const long = JSON.stringify({ a: `${"x".repeat(limits.maxMetadataValueChars - 1)}😀`, b: "ab\u0000" });
    const metadata = { a: "a", b: { expression: "b", maxChars: 400 }, c: { expression: "a", maxChars: 2 } };
    expect(metadataOf(metadata, long)).toEqual({
      a: "x".repeat(limits.maxMetadataValueChars - 1),
      b: "ab\uFFFD",
      c: "xx",
    });
    const most = { a: { expression: "a", maxChars: limits.maxMappedChars } };
    expect(metadataOf(most, JSON.stringify({ a: "y".repeat(9_000) }))["a"]).toHaveLength(512);
  });

  it("whose expression does not fit is refused with its name", () => {
    expect(() => metadataOf({ issue: "abs(a)" }, '{"a":"x"}')).toThrow(
      expect.objectContaining({ param: "metadata.issue", details: { expression: "abs(a)" } }),
    );
  });

  it.each([
    ["weir's own name", { trigger: "a" }],
    ["another of them", { event: "a" }],
    ["a long name", { ["x".repeat(65)]: "a" }],
    ["one too many", Object.fromEntries(Array.from({ length: 15 }, (_, at) => [`k${at}`, "a"]))],
  ])("of %s is refused", (_, metadata) => {
    expect(() => parsed({ metadata })).toThrow();
  });
});
