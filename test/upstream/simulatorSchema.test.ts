import { Validator } from "@cfworker/json-schema";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { anySchema } from "../support/jsonSchemas.ts";
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

describe("sim/schema", () => {
  it("satisfies any schema of the kinds it knows", async () => {
    await fc.assert(
      fc.asyncProperty(anySchema, fc.nat(), async (schema, seed) => {
        await expectValid({ ...schema, $defs: { leaf: { type: "string", minLength: 2 } } }, seed);
      }),
      { numRuns: 600 },
    );
  });

  it("follows references through escaped names, and merges bounds from all sides", async () => {
    const odd = { $defs: { "a/b~c d": { type: "integer", minimum: 3 } } };
    expect(await expectValid({ ...odd, $ref: "#/$defs/a~1b~0c%20d", maximum: 3 })).toBe(3);
    const sides = {
      allOf: [
        { minimum: 3, maximum: 9 },
        { type: "integer", minimum: 7 },
        { type: "number", maximum: 7 },
      ],
    };
    expect(await expectValid(sides)).toBe(7);
    expect(await expectValid({ allOf: [{ enum: [1, 2] }, { enum: [2, 3] }] })).toBe(2);
  });

  it("takes each alternative of a pattern at times", async () => {
    const schema = { type: "string", pattern: "^(red|green|blue)$" };
    const drawn = await Promise.all(Array.from({ length: 30 }, (_, seed) => made(schema, { seed })));
    expect(new Set(drawn)).toEqual(new Set(["red", "green", "blue"]));
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
    ["a pattern multiplies", { type: "string", pattern: "^(?:(?:(?:a{900}){900}){900}){900}$" }],
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
