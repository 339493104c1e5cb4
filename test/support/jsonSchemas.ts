import fc from "fast-check";

type Schema = Record<string, unknown>;

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

const kinds = fc.letrec<{ schema: Schema }>((tie) => {
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
  const objects = fc.tuple(tie("schema"), tie("schema")).map(
    ([a, b]): Schema => ({
      type: "object",
      properties: { a: { description: "a" } },
      allOf: [
        { properties: { a }, required: ["a"] },
        { properties: { b, c: false }, required: ["b"] },
      ],
      additionalProperties: true,
    }),
  );
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
    objects,
  );
  return { schema: fc.tuple(all, annotation).map(([schema, extra]): Schema => ({ ...schema, ...extra })) };
});

/** Satisfiable JSON Schemas of every kind; `$defs.leaf` must be there for their references. */
export const anySchema = kinds.schema;
