import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/contract/chat.ts";
import { limits } from "../../src/contract/limits.ts";
import { AppError } from "../../src/core/errors.ts";
import { parseMustache } from "../../src/core/mustache.ts";
import { assertUsableSchema, assertVariableSchema, inferSchema } from "../../src/core/variableSchema.ts";
import { completeVariables } from "../../src/core/variables.ts";
import { assertDeclared, variableUses } from "../../src/core/variableUses.ts";

const source = { template: "t", param: "content.text" };
const usesOf = (text: string, snippets: Record<string, string> = {}) =>
  variableUses(
    [{ nodes: parseMustache(text, source), source }],
    new Map(Object.entries(snippets).map(([name, body]) => [name, { name, version: 1, text: body }])),
  );
const inferred = (text: string, snippets?: Record<string, string>) => inferSchema(usesOf(text, snippets));

function refusal(run: () => unknown): AppError {
  try {
    run();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error("was not refused");
}

const plain = { type: ["string", "number", "boolean"] };

describe("a schema inferred from the text", () => {
  it("requires plain variables as strings, numbers or booleans", () => {
    expect(inferred("{{name}} {{age}} {{name}}")).toEqual({
      type: "object",
      properties: { name: plain, age: plain },
      required: ["name", "age"],
    });
  });

  it("takes sections as lists, booleans or objects, and requires nothing that stands inside them", () => {
    expect(inferred("{{#items}}{{title}}{{/items}}{{^done}}{{reason}}{{/done}}")).toEqual({
      type: "object",
      properties: {
        items: { type: ["array", "boolean", "object"] },
        title: plain,
        done: { type: ["array", "boolean", "object"] },
        reason: plain,
      },
      required: ["items", "done"],
    });
  });

  it("makes objects of dotted names", () => {
    expect(inferred("{{user.name.first}}")).toEqual({
      type: "object",
      properties: {
        user: {
          type: "object",
          properties: { name: { type: "object", properties: { first: plain }, required: ["first"] } },
          required: ["name"],
        },
      },
      required: ["user"],
    });
  });

  it("lets a name be tested and printed", () => {
    const schema = inferred("{{#name}}Hi {{name}}{{/name}}{{#nick}}{{.}}{{/nick}}");
    for (const value of ["Ann", 3, false, []])
      expect(completeVariables(schema, { name: value, nick: "x" })).toEqual({ name: value, nick: "x" });
  });

  it("includes what snippets use", () => {
    expect(inferred("{{> sig}}{{#on}}{{> sig}}{{/on}}", { sig: "{{author}}" })).toMatchObject({
      properties: { author: plain, on: {} },
      required: ["author", "on"],
    });
  });
});

it("refuses snippets that multiply beyond what a rendering may visit", () => {
  const snippets = Object.fromEntries(
    Array.from({ length: 16 }, (_, depth) => {
      const inner = depth === 0 ? "{{x}}" : `{{> p${depth - 1}}}`;
      return [`p${depth}`, `{{#a}}${inner}{{/a}}{{#b}}${inner}{{/b}}{{#c}}${inner}{{/c}}`];
    }),
  );
  expect(refusal(() => usesOf("{{> p15}}", snippets))).toMatchObject({
    code: "too_large",
    details: { limit: "maxRenderNodes" },
  });
});

describe("variables given by a caller", () => {
  const schema: JsonObject = {
    type: "object",
    properties: {
      name: { type: "string", minLength: 2 },
      tone: { type: "string", default: "calm" },
      user: {
        type: "object",
        properties: { age: { type: "integer" }, city: { type: "string", default: "Rome" } },
        required: ["age"],
      },
      tags: { type: "array", items: { type: "object", properties: { weight: { type: "number", default: 1 } } } },
    },
    required: ["name", "tone"],
  };

  it("get the defaults of definitions that the schema refers to", () => {
    const $defs = { user: { type: "object", properties: { city: { default: "Rome" } }, required: ["city"] } };
    const referring = { type: "object", properties: { user: { $ref: "#/$defs/user" } }, $defs };
    expect(completeVariables(referring, { user: {} })).toEqual({ user: { city: "Rome" } });
  });

  it("get the schema's defaults, inside objects and lists too, and leave the caller's as they were", () => {
    const given = { name: "Ann", user: { age: 4 }, tags: [{}, { weight: 2 }] };
    expect(completeVariables(schema, given)).toEqual({
      name: "Ann",
      tone: "calm",
      user: { age: 4, city: "Rome" },
      tags: [{ weight: 1 }, { weight: 2 }],
    });
    expect(given).toEqual({ name: "Ann", user: { age: 4 }, tags: [{}, { weight: 2 }] });
  });

  it.each([
    [{ name: "Ann", nmae: "x" }, "variables.nmae"],
    [{}, "variables.name"],
    [{ name: "A" }, "variables.name"],
    [{ name: 3 }, "variables.name"],
    [{ name: "Ann", user: { age: "old" } }, "variables.user.age"],
    [{ name: "Ann", tags: [{}, { weight: "x" }] }, "variables.tags.1.weight"],
    [JSON.parse('{"name":"Ann","__proto__":{"tone":"rude"}}'), "variables.__proto__"],
    [{ name: "Ann", constructor: 1 }, "variables.constructor"],
  ])("are refused by name: %j", (given, param) => {
    expect(refusal(() => completeVariables(schema, given))).toMatchObject({ code: "invalid_request", param });
  });

  it("that are missing are named with the place of their first use", () => {
    const text = "Dear\n {{name}} {{name}}";
    expect(refusal(() => completeVariables(inferred(text), {}, usesOf(text)))).toMatchObject({
      param: "variables.name",
      details: { template: "t", line: 2, column: 2 },
    });
  });

  it("are counted", () => {
    const many = Object.fromEntries(Array.from({ length: limits.maxVariables + 1 }, (_, index) => [`v${index}`, "x"]));
    expect(refusal(() => completeVariables(schema, many)).param).toBe("variables");
  });

  it("are refused, not looped over, by a schema that refers to itself", () => {
    const endless = { type: "object", properties: { a: { $ref: "#/properties/a" } } };
    expect(refusal(() => completeVariables(endless, { a: 1 })).code).toBe("invalid_request");
  });
});

describe("a schema given with a template", () => {
  it.each([
    [{ type: "array" }, "v.type"],
    [{}, "v.type"],
    [{ type: "object", properties: [] }, "v.properties"],
    [{ type: "object", properties: { "a b": {} } }, "v.properties.a b"],
    [{ type: "object", properties: { constructor: {} } }, "v.properties.constructor"],
    [{ type: "object", properties: { a: 3 } }, "v.properties.a"],
    [{ type: "object", properties: { a: {} }, required: ["b"] }, "v.required"],
    [{ type: "object", properties: { a: { type: "strnig" } } }, "v"],
    [{ type: "object", properties: { a: { pattern: "(" } } }, "v"],
    [{ type: "object", properties: { a: { pattern: "^(a+)+$" } } }, "v"],
    [{ type: "object", properties: { a: { patternProperties: { "(x*)*y": {} } } } }, "v"],
    [{ type: "object", properties: { a: { $ref: "#/$defs/none" } } }, "v"],
    [{ type: "object", properties: { a: { type: "string", default: 3 } } }, "v.properties.a.default"],
  ])("is refused when it cannot describe variables: %j", (schema, param) => {
    expect(refusal(() => assertVariableSchema(schema, "v"))).toMatchObject({ code: "invalid_template", param });
  });

  it("may use local references", () => {
    const schema = { type: "object", properties: { a: { $ref: "#/$defs/word" } }, $defs: { word: { type: "string" } } };
    assertVariableSchema(schema, "v");
    expect(completeVariables(schema, { a: "x" })).toEqual({ a: "x" });
    expect(refusal(() => completeVariables(schema, { a: 1 })).param).toBe("variables.a");
    expect(schema.properties.a).toEqual({ $ref: "#/$defs/word" });
  });

  it("is bounded in size", () => {
    const schema = { description: "x".repeat(limits.maxSchemaBytes) };
    expect(refusal(() => assertUsableSchema(schema, "v"))).toMatchObject({
      code: "too_large",
      details: { limit: "maxSchemaBytes" },
    });
  });

  const declared: JsonObject = {
    type: "object",
    properties: {
      name: { type: "string" },
      open: { type: "array" },
      user: { type: "object", properties: { city: {} } },
      items: { type: "array", items: { type: "object", properties: { title: { type: "string" } } } },
    },
  };

  it.each([
    "{{name}}",
    "{{user.city}} {{#user}}{{city}} {{name}}{{/user}}",
    "{{#items}}{{title}} {{name}} {{.}}{{/items}} {{items.0.title}}",
    "{{#open}}{{anything.at.all}}{{/open}}",
  ])("declares what %j uses", (text) => {
    expect(() => assertDeclared(usesOf(text), declared)).not.toThrow();
  });

  it.each([
    ["a\n {{nmae}}", 2, 2],
    ["{{user.town}}", 1, 1],
    ["{{#items}}{{titel}}{{/items}}", 1, 11],
    ["{{^name}}{{other}}{{/name}}", 1, 10],
    ["{{name.first}}", 1, 1],
  ])("must declare what %j uses", (text, line, column) => {
    expect(refusal(() => assertDeclared(usesOf(text), declared))).toMatchObject({
      code: "invalid_template",
      param: "content.text",
      details: { template: "t", line, column },
    });
  });
});
