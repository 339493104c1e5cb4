import { Validator } from "@cfworker/json-schema";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { ask, askJson, askStream, type Loose } from "../support/simulator.ts";

type Schema = Record<string, unknown>;

const model = "sim/schema";
const format = (schema: unknown) => ({ type: "json_schema", json_schema: { name: "answer", schema } });

/** The parsed answer for a schema, with the validator's opinion of it. */
async function made(schema: unknown, { prompt = "周末去杭州 with two friends", seed = 1 } = {}): Promise<Loose> {
  const answer = await askJson({ model, prompt, body: { response_format: format(schema), seed } });
  if (answer.error) throw new Error(answer.error.message);
  return JSON.parse(answer.choices[0].message.content);
}

async function expectValid(schema: unknown, seed = 1): Promise<Loose> {
  const value = await made(schema, { seed });
  const { valid, errors } = new Validator(schema as object, "2020-12").validate(value);
  expect(errors.map(({ keywordLocation, error }) => `${keywordLocation}: ${error}`)).toEqual([]);
  expect(valid).toBe(true);
  return value;
}

const annotation = fc.record({ description: fc.string({ maxLength: 5 }) }, { requiredKeys: [] });

const strings = fc
  .record({ low: fc.nat(30), more: fc.nat(30) }, { noNullPrototype: true })
  .chain(({ low, more }) =>
    fc.constantFrom<Schema>(
      { type: "string" },
      { type: "string", minLength: low },
      { type: "string", maxLength: low + more },
      { type: "string", minLength: low, maxLength: low + more },
    ),
  );
const formats = fc
  .constantFrom(
    "date",
    "time",
    "date-time",
    "duration",
    "email",
    "hostname",
    "uri",
    "url",
    "uri-reference",
    "uuid",
    "ipv4",
    "ipv6",
    "regex",
    "json-pointer",
    "relative-json-pointer",
    "uri-template",
  )
  .map((name): Schema => ({ type: "string", format: name }));
const patterns = fc
  .constantFrom(
    "^[A-Z]{3}-\\d{2,4}$",
    "^(red|green|blue)$",
    "^\\+?[1-9]\\d{1,14}$",
    "^[^\\s@]+@example\\.(com|org)$",
    "\\bcode \\w+",
    "^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$",
    "^[一-龥]{2,3}$",
    "^\\u{1F600}?x*$",
  )
  .map((pattern): Schema => ({ type: "string", pattern }));
const bound = fc.oneof(fc.integer({ min: -1e6, max: 1e6 }), fc.double({ min: -1e6, max: 1e6, noNaN: true }));
const numbers = fc
  .tuple(bound, fc.double({ min: 0.001, max: 1000, noNaN: true }))
  .chain(([low, size]) =>
    fc.constantFrom<Schema>(
      { type: "number" },
      { type: "number", minimum: low },
      { type: "number", maximum: low },
      { type: "number", exclusiveMinimum: low },
      { type: "number", exclusiveMaximum: low },
      { type: "number", minimum: low, maximum: low + size },
      { type: "number", exclusiveMinimum: low, exclusiveMaximum: low + size },
      { type: "number", minimum: low, maximum: low },
    ),
  );
const integers = fc
  .tuple(fc.integer({ min: -1e9, max: 1e9 }), fc.nat(200), fc.integer({ min: 1, max: 50 }))
  .chain(([low, size, step]) =>
    fc.constantFrom<Schema>(
      { type: "integer" },
      { type: "integer", minimum: low, maximum: low + size },
      { type: "integer", exclusiveMinimum: low, exclusiveMaximum: low + size + 2 },
      { type: "integer", minimum: low + 0.5 },
      { type: "integer", minimum: low, multipleOf: step },
      { type: "integer", maximum: low, multipleOf: step },
      { type: "number", minimum: low, multipleOf: 0.1 },
    ),
  );
const others = fc.oneof(
  fc.constantFrom<Schema>(
    { type: "boolean" },
    { type: "null" },
    {},
    { type: ["string", "null"] },
    { type: ["integer", "string"], minimum: 3 },
  ),
  fc.array(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 4 }).map((values): Schema => ({ enum: values })),
  fc.jsonValue({ maxDepth: 2 }).map((value): Schema => ({ const: value })),
  fc.constant<Schema>({ $ref: "#/$defs/leaf" }),
);

const { schema: anySchema } = fc.letrec<{ schema: Schema }>((tie) => {
  const object = fc
    .dictionary(
      fc.string({ maxLength: 6 }).filter((name) => name !== "__proto__"),
      tie("schema"),
      { maxKeys: 4, noNullPrototype: true },
    )
    .chain((properties) =>
      fc.record({
        type: fc.constant("object"),
        properties: fc.constant(properties),
        required: fc.subarray(Object.keys(properties)),
        additionalProperties: fc.constantFrom<unknown>(false, true, { type: "integer" }),
      }),
    );
  const array = fc
    .record({ items: tie("schema"), least: fc.nat(3), more: fc.nat(3) })
    .chain(({ items, least, more }) =>
      fc.constantFrom<Schema>(
        { type: "array", items },
        { type: "array", items, minItems: least },
        { type: "array", items, minItems: least, maxItems: least + more },
        { type: "array", prefixItems: [items, { type: "integer" }], items: false, maxItems: 2 },
      ),
    );
  const anyOf = fc
    .array(tie("schema"), { minLength: 1, maxLength: 3 })
    .map((branches): Schema => ({ anyOf: branches }));
  const oneOf = tie("schema").map(
    (branch): Schema => ({ oneOf: [{ type: "array", items: branch }, { type: "string" }] }),
  );
  const allOf = tie("schema").map((part): Schema => ({ allOf: [part, { description: "all" }] }));
  const all = fc.oneof(
    { maxDepth: 4, depthSize: "small", withCrossShrink: true },
    strings,
    formats,
    patterns,
    numbers,
    integers,
    others,
    object,
    array,
    anyOf,
    oneOf,
    allOf,
  );
  return { schema: fc.tuple(all, annotation).map(([schema, extra]): Schema => ({ ...schema, ...extra })) };
});

describe("sim/schema", () => {
  it("satisfies any schema of the kinds it knows", async () => {
    await fc.assert(
      fc.asyncProperty(anySchema, fc.nat(), async (schema, seed) => {
        await expectValid({ ...schema, $defs: { leaf: { type: "string", minLength: 2 } } }, seed);
      }),
      { numRuns: 600 },
    );
  });

  it("makes different values for items that must differ", async () => {
    const items = await expectValid({ type: "array", items: { enum: [1, 2, 3] }, minItems: 3, uniqueItems: true });
    expect(new Set(items).size).toBe(3);
  });

  it("ends recursive schemas, through properties, items and alternatives", async () => {
    const tree = {
      $ref: "#/$defs/node",
      $defs: {
        node: {
          type: "object",
          properties: {
            label: { type: "string" },
            next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
            children: { type: "array", items: { $ref: "#/$defs/node" } },
          },
          required: ["label", "next", "children"],
          additionalProperties: false,
        },
      },
    };
    for (let seed = 0; seed < 10; seed++) await expectValid(tree, seed);
    await expectValid({ type: "object", properties: { self: { $ref: "#" } } });
  });

  it("satisfies what zod writes", async () => {
    const Person = z.strictObject({
      name: z.string().min(2).max(40),
      email: z.email(),
      id: z.uuid(),
      born: z.iso.date(),
      age: z.int().min(0).max(130),
      score: z.number().gt(0).lt(1),
      role: z.enum(["admin", "guest"]),
      contact: z.discriminatedUnion("kind", [
        z.object({ kind: z.literal("phone"), number: z.string().regex(/^\d{3}-\d{4}$/) }),
        z.object({ kind: z.literal("mail") }),
      ]),
      tags: z.array(z.string()).min(1).max(3),
      place: z.tuple([z.number(), z.number()]),
      notes: z.record(z.string(), z.boolean()),
      nickname: z.string().nullable(),
      both: z.intersection(z.object({ a: z.string() }), z.object({ b: z.number() })),
    });
    for (let seed = 0; seed < 20; seed++) {
      expect(Person.safeParse(await made(z.toJSONSchema(Person), { seed })).error).toBeUndefined();
    }
  });

  it("uses the prompt's words for strings, Chinese ones too", async () => {
    const words = (await made({ type: "string" }, { prompt: "杭州 西湖" })) as string;
    expect(words.split(" ").every((word) => ["杭州", "西湖"].includes(word))).toBe(true);
  });

  it("makes optional properties sometimes, required ones always, in the schema's order", async () => {
    const schema = {
      type: "object",
      properties: { first: { type: "integer" }, maybe: { type: "integer" }, last: { type: "integer" } },
      required: ["last", "first"],
    };
    const shapes = await Promise.all(Array.from({ length: 20 }, (_, seed) => made(schema, { seed })));
    expect(new Set(shapes.map((shape) => Object.keys(shape).join()))).toEqual(
      new Set(["first,last", "first,maybe,last"]),
    );
  });

  it("streams the same JSON", async () => {
    const response_format = format({
      type: "object",
      properties: { a: { type: "string", minLength: 50 } },
      required: ["a"],
    });
    const { content, chunks } = await askStream({ model, body: { response_format } });
    expect(JSON.parse(content).a.length).toBeGreaterThanOrEqual(50);
    expect(chunks.length).toBeGreaterThan(5);
    expect((await askJson({ model, body: { response_format } })).choices[0].message.content).toBe(content);
  });

  it("answers json_object, or a format without a schema, with a small object", async () => {
    for (const response_format of [{ type: "json_object" }, { type: "json_schema", json_schema: { name: "any" } }]) {
      const { choices } = await askJson({ model, prompt: "list the weirs", body: { response_format } });
      expect(JSON.parse(choices[0].message.content)).toEqual({
        simulated: true,
        prompt: "list the weirs",
        promptTokens: 3,
      });
    }
  });

  it("answers plain text without a format", async () => {
    for (const body of [{}, { response_format: { type: "text" } }]) {
      expect((await askJson({ model, body })).choices[0].message.content).toBe("This is a simulated answer to: Hello");
    }
  });

  const node: Schema = { type: "object", required: ["next"], properties: { next: { $ref: "#/$defs/node" } } };
  const deep = Array.from({ length: 500 }).reduce<Schema>(
    (inner) => ({ type: "array", minItems: 1, items: inner }),
    {},
  );
  it.each<[string, Schema]>([
    ["nothing fits", { type: "integer", minimum: 5, maximum: 4 }],
    ["types exclude each other", { allOf: [{ type: "string" }, { type: "object" }] }],
    ["a required property is forbidden", { type: "object", required: ["a"], additionalProperties: false }],
    ["a reference leads nowhere", { $ref: "#/$defs/none" }],
    ["a reference leaves the document", { $ref: "https://example.com/schema.json" }],
    ["a reference leads to itself", { $ref: "#" }],
    ["a value must contain itself", { ...node, $defs: { node } }],
    ["a list is far too long", { type: "array", minItems: 1e9 }],
    ["a string is far too long", { type: "string", minLength: 1e12 }],
    ["lists multiply", { type: "array", minItems: 500, items: { type: "array", minItems: 500 } }],
    ["it nests without end", deep],
    ["a pattern is beyond it", { type: "string", pattern: "^(?=a)b$" }],
    ["a pattern is broken", { type: "string", pattern: "(" }],
    ["its unique items run out", { type: "array", items: { type: "boolean" }, minItems: 3, uniqueItems: true }],
    ["its type is unknown", { type: "text" }],
  ])("refuses with the field, and no guess, when %s", async (_, schema) => {
    const response = await ask({ model, body: { response_format: format(schema) } });
    const { error } = (await response.json()) as Loose;
    expect([response.status, error?.param]).toEqual([400, "response_format"]);
  });

  it("makes a property of any name an own one", async () => {
    const schema = JSON.parse(
      '{"type":"object","properties":{"__proto__":{"type":"integer"}},"required":["__proto__","constructor"]}',
    );
    const { choices } = await askJson({ model, body: { response_format: format(schema) } });
    expect(choices[0].message.content).toMatch(/^\{"__proto__":\d+,"constructor":".*"\}$/);
  });
});
