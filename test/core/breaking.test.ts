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

  it("are a property removed from an object that takes no others", () => {
    for (const closing of ["additionalProperties", "unevaluatedProperties"]) {
      const closed = (properties: JsonObject): JsonObject => ({ ...object(properties), [closing]: false });
      expect(narrowing(closed({ a: {}, b: {} }), closed({ a: {} }))).toEqual(["v.b removed"]);
      expect(narrowing(closed({ a: {} }), closed({ a: {}, b: {} }))).toEqual([]);
      expect(narrowing(object({ w: closed({ a: {} }) }), object({ w: closed({}) }))).toEqual(["v.w.a removed"]);
    }
    expect(narrowing(object({ a: {}, b: {} }), object({ a: {} }))).toEqual([]);
  });

  it("are an object that takes fewer of the properties it does not list", () => {
    const others = (additionalProperties: unknown, properties: JsonObject = {}) => ({
      ...object(properties),
      additionalProperties,
    });
    expect(narrowing(object({}), others(false))).toEqual(["v.* type_narrowed"]);
    expect(narrowing(others(true), others({ type: "string" }))).toEqual(["v.* type_narrowed"]);
    expect(narrowing(others(false), others(true))).toEqual([]);
    expect(narrowing(others({ type: "string" }), others({}))).toEqual([]);
    const number = { a: { type: "number" } };
    expect(narrowing(others({ type: "string" }, number), others({ type: "string" }))).toEqual(["v.a type_narrowed"]);
  });

  it.each<[string, unknown]>([
    ["dependentRequired", { a: ["b"] }],
    ["dependentSchemas", { a: { required: ["b"] } }],
    ["minProperties", 1],
    ["maxProperties", 1],
    ["allOf", [{ required: ["a"] }]],
    ["anyOf", [{ required: ["a"] }]],
    ["oneOf", [{ required: ["a"] }]],
    ["not", { required: ["a"] }],
    ["if", { required: ["a"] }],
    ["propertyNames", { maxLength: 1 }],
    ["patternProperties", { "^a": { type: "string" } }],
    ["$ref", "#/$defs/all"],
  ])("are a new %s over all variables", (keyword, value) => {
    const before = object({ a: {}, b: {} });
    const after = { ...before, $defs: { all: { required: ["a"] } }, [keyword]: value };
    expect(breakingChanges(before, after)).toEqual([
      { variable: "", change: "type_narrowed", message: expect.stringContaining(keyword) },
    ]);
    expect(changes(after, after)).toEqual([]);
    if (keyword !== "patternProperties") expect(changes(after, before)).toEqual([]);
  });

  it("are not a schema that only says the same in more words", () => {
    const before = object({ a: {} });
    const words = { $schema: "https://json-schema.org/draft/2020-12/schema", $defs: { x: {} }, title: "t" };
    expect(changes(before, { ...before, ...words, additionalProperties: false })).toEqual([]);
  });

  it("are a name required inside an object that does not describe it", () => {
    expect(narrowing(object({}), object({}, ["id"]))).toEqual(["v.id required_added"]);
    expect(narrowing(object({}, ["id"]), object({}, ["id"]))).toEqual([]);
  });

  describe("behind references", () => {
    const referring = (properties: JsonObject, x: unknown, more: JsonObject = {}) => ({
      ...object(properties),
      $defs: { x, ...more },
    });
    const behind = (properties: JsonObject, before: unknown, after: unknown, more: JsonObject = {}) =>
      changes(referring(properties, before, more), referring(properties, after, more));
    const x = { $ref: "#/$defs/x" };

    it("are a definition narrowed", () => {
      expect(behind({ v: x }, { type: ["string", "number"] }, { type: "string" })).toEqual(["v type_narrowed"]);
      expect(behind({ v: x }, { type: "string" }, { type: ["string", "number"] })).toEqual([]);
      expect(behind({ v: x }, object({}), object({ id: {} }, ["id"]))).toEqual(["v.id required_added"]);
      expect(behind({ v: { type: "array", items: x } }, {}, { maxLength: 3 })).toEqual(["v.* type_narrowed"]);
    });

    it("name every variable that a definition is used by", () => {
      expect(behind({ a: x, b: x, c: {} }, {}, { type: "string" })).toEqual(["a type_narrowed", "b type_narrowed"]);
    });

    it("are found through further references and inside keywords that are not compared", () => {
      const more = { y: { $ref: "#/$defs/x" }, z: { type: "array", items: { $ref: "#/$defs/y" } } };
      for (const v of [{ $ref: "#/$defs/z" }, { anyOf: [{ $ref: "#/$defs/z" }] }, { not: { not: x } }])
        expect(behind({ v }, {}, { type: "string" }, more)).toHaveLength(1);
      expect(behind({ v: { anyOf: [x] } }, {}, {}, { y: { type: "string" } })).toEqual([]);
    });

    it("are not a definition that was written out, or the other way round", () => {
      const inline = object({ v: { type: "string" } });
      expect(changes(inline, referring({ v: x }, { type: "string" }))).toEqual([]);
      expect(changes(referring({ v: x }, { type: "string" }), inline)).toEqual([]);
      expect(changes(referring({ v: x }, {}), inline)).toEqual(["v type_narrowed"]);
    });

    it("are compared to the end where definitions contain themselves", () => {
      const tree = (name: unknown) => object({ name, children: { type: "array", items: x } });
      expect(behind({ v: x }, tree({}), tree({ type: "string" }))).toEqual(["v.name type_narrowed"]);
      expect(behind({ v: x }, tree({}), tree({ title: "t" }))).toEqual([]);
      const many = Object.fromEntries(
        Array.from({ length: 500 }, (_, i) => [
          `d${i}`,
          object({ l: { $ref: `#/$defs/d${i + 1}` }, r: { $ref: `#/$defs/d${i + 1}` } }),
        ]),
      );
      const deep = { v: { $ref: "#/$defs/d0" } };
      expect(behind(deep, {}, {}, { ...many, d500: {} })).toEqual([]);
      const [before, after] = [{}, { type: "string" }].map((d500) => referring(deep, {}, { ...many, d500 }));
      expect(changes(before ?? {}, after ?? {}).length).toBeGreaterThan(0);
    });

    it("count as changed where they cannot be followed", () => {
      const anchored = (type: string) => referring({ v: { $ref: "#n" } }, { $anchor: "n", type });
      expect(changes(anchored("string"), anchored("number"))).toEqual(["v type_narrowed"]);
      expect(changes(anchored("string"), anchored("string"))).toEqual([]);
    });
  });

  it("are found inside objects and lists", () => {
    const inner = (type: string) => ({ type: "object", properties: { age: { type } } });
    expect(narrowing(inner("number"), inner("string"))).toEqual(["v.age type_narrowed"]);
    const list = (type: string) => ({ type: "array", items: { type } });
    expect(narrowing(list("number"), list("string"))).toEqual(["v.* type_narrowed"]);
    expect(narrowing(object({}), object({ id: {} }, ["id"]))).toEqual(["v.id required_added"]);
  });
});
