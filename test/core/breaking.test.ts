import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/contract/chat.ts";
import { breakingChanges } from "../../src/core/breaking.ts";

const object = (properties: JsonObject, required: string[] = []): JsonObject => ({
  type: "object",
  properties,
  required,
});
const changes = (before: JsonObject, after: JsonObject) =>
  breakingChanges(before, after).map(({ variable, change }) => `${variable} ${change}`);
/** Both schemas for one variable `v`. */
const narrowing = (before: unknown, after: unknown) => changes(object({ v: before }), object({ v: after }));

describe("changes that break callers", () => {
  it("are a new required variable, one that became required and one that lost its default", () => {
    const before = object({ a: {}, b: { default: 1 } });
    const after = object({ a: {}, b: {}, c: {}, d: {} }, ["a", "c"]);
    expect(changes(before, after)).toEqual(["a required_added", "b required_added", "c required_added"]);
  });

  it("are not a required variable with a default, nor one that is no longer required", () => {
    expect(changes(object({ b: {} }, ["b"]), object({ a: { default: 1 }, b: {} }, ["a"]))).toEqual([]);
  });

  it("are a variable removed", () => {
    expect(breakingChanges(object({ a: {}, b: {} }), object({ b: {} }))).toEqual([
      { variable: "a", change: "removed", message: '"a" is no longer a variable' },
    ]);
  });

  it.each([
    [{ type: ["string", "number"] }, { type: "string" }],
    [{ type: "number" }, { type: "integer" }],
    [{}, { type: "string" }],
    [{ type: "string" }, { type: "string", enum: ["a"] }],
    [{ enum: ["a", "b"] }, { enum: ["a"] }],
    [{ enum: ["a", "b"] }, { const: "a" }],
    [{ maxLength: 5 }, { maxLength: 4 }],
    [{}, { maxItems: 4 }],
    [{ minimum: 1 }, { minimum: 2 }],
    [{}, { pattern: "^a" }],
    [{ pattern: "^a" }, { pattern: "^b" }],
    [true, { type: "string" }],
    [{}, false],
    [{ anyOf: [{}] }, { anyOf: [{ type: "string" }] }],
  ])("are a type narrowed from %j to %j", (before, after) => {
    expect(narrowing(before, after)).toEqual(["v type_narrowed"]);
  });

  it.each([
    [{ type: "string" }, { type: ["string", "number"] }],
    [{ type: "integer" }, { type: "number" }],
    [{ type: "string" }, {}],
    [{ enum: ["a"] }, { enum: ["a", "b"] }],
    [{ const: "a" }, { enum: ["a", "b"] }],
    [{ maxLength: 4 }, { maxLength: 5 }],
    [{ minimum: 2 }, { minimum: 1 }],
    [{ pattern: "^a" }, {}],
    [
      { type: "string", title: "old" },
      { type: "string", description: "new" },
    ],
    [{ type: "string" }, true],
  ])("are not a type widened from %j to %j", (before, after) => {
    expect(narrowing(before, after)).toEqual([]);
  });

  it("are found inside objects and lists", () => {
    const inner = (type: string) => ({ type: "object", properties: { age: { type } } });
    expect(narrowing(inner("number"), inner("string"))).toEqual(["v.age type_narrowed"]);
    const list = (type: string) => ({ type: "array", items: { type } });
    expect(narrowing(list("number"), list("string"))).toEqual(["v.* type_narrowed"]);
    expect(narrowing(object({}), object({ id: {} }, ["id"]))).toEqual(["v.id required_added"]);
  });
});
