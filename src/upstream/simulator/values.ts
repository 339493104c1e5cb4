import { limits } from "../../contract/limits.ts";
import { flatten, frugalDepth, isSchema, type Making, ownValue, type Schema, unsatisfiable } from "./jsonSchema.ts";
import type { Random } from "./random.ts";
import { makeNumber, makeString } from "./scalars.ts";

/**
 * A JSON value that satisfies a JSON Schema, the same for the same `random`. Strings are made of `prompt`'s
 * words where nothing asks for another form. Understood are types, `enum`, `const`, references within the
 * schema, `allOf`, alternatives (the first), properties, items, and the bounds of each type; not `not`, `if`,
 * `contains`, `dependent…`, `patternProperties` and `propertyNames`. A schema that cannot be satisfied, or asks
 * for too much, is an `invalid_request` with `param`.
 */
export function makeValue(schema: unknown, options: { random: Random; prompt: string; param: string }): unknown {
  const { random, param } = options;
  const making: Making = {
    root: schema,
    random,
    words: wordsOf(options.prompt),
    param,
    left: limits.maxSimulatedValues,
  };
  return make(making, schema, 0);
}

/** Words of a text, for strings; Chinese has no spaces, so a run of characters is taken in pieces of up to four. */
function wordsOf(text: string): string[] {
  const words = text
    .slice(0, limits.maxIndexedChars)
    .match(/\p{scx=Han}{1,4}|[[\p{L}\p{M}\p{Nd}]--\p{scx=Han}]{1,24}/gv);
  return words ?? ["sample", "value", "example"];
}

function make(making: Making, schema: unknown, depth: number): unknown {
  const flat = flatten(making, schema, depth);
  if (Object.hasOwn(flat, "const")) return flat["const"];
  const types = typesOf(flat);
  if (Array.isArray(flat["enum"])) {
    const allowed = flat["enum"].filter((value) => types === null || types.some((type) => isOfType(value, type)));
    if (allowed.length === 0) throw unsatisfiable(making, "its enum is empty");
    return making.random.pick(allowed);
  }
  const type = types?.[0] ?? impliedType(flat);
  switch (type) {
    case "object":
      return makeObject(making, flat, depth);
    case "array":
      return makeArray(making, flat, depth);
    case "string":
      return makeString(making, flat);
    case "number":
    case "integer":
      return makeNumber(making, flat, type === "integer");
    case "boolean":
      return making.random.unit() < 0.5;
    case "null":
      return null;
    default:
      throw unsatisfiable(making, `there is no type ${JSON.stringify(type)}`);
  }
}

function typesOf(schema: Schema): unknown[] | null {
  return schema["type"] === undefined ? null : [schema["type"]].flat();
}

function isOfType(value: unknown, type: unknown): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (value === null) return type === "null";
  return (Array.isArray(value) ? "array" : typeof value) === type;
}

const implied: [string, string[]][] = [
  ["object", ["properties", "required", "additionalProperties", "minProperties"]],
  ["array", ["items", "prefixItems", "minItems", "maxItems"]],
  ["number", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]],
];

function impliedType(schema: Schema): string {
  const found = implied.find(([, keywords]) => keywords.some((keyword) => Object.hasOwn(schema, keyword)));
  return found?.[0] ?? "string";
}

function makeObject(making: Making, schema: Schema, depth: number): Record<string, unknown> {
  const properties = isSchema(schema["properties"]) ? schema["properties"] : {};
  const required = Array.isArray(schema["required"]) ? schema["required"].map(String) : [];
  const additional = schema["additionalProperties"];
  const least = typeof schema["minProperties"] === "number" ? schema["minProperties"] : 0;
  const most = typeof schema["maxProperties"] === "number" ? schema["maxProperties"] : Number.POSITIVE_INFINITY;
  const names = new Set(required);
  for (const name of Object.keys(properties)) {
    const wanted = names.size < least || (depth < frugalDepth && making.random.unit() < 0.75);
    if (wanted && names.size < most && properties[name] !== false) names.add(name);
  }
  // A room for values nobody named is filled when it is all there is, as in a map of names to numbers.
  const wantedExtra = isSchema(additional) && Object.keys(properties).length === 0 && depth < frugalDepth ? 2 : 0;
  const size = Math.max(least, Math.min(most, names.size + wantedExtra));
  if (names.size > most) throw unsatisfiable(making, "more properties are required than allowed");
  for (let extra = 1; names.size < size; extra++) {
    if (additional === false || extra > making.left) throw unsatisfiable(making, "it has too few properties");
    names.add(`property${extra}`);
  }
  // The schema's order first, as a model would write it.
  const ordered = [...Object.keys(properties).filter((name) => names.has(name)), ...names];
  return Object.fromEntries(
    [...new Set(ordered)].map((name) => {
      const own = Object.hasOwn(properties, name) ? ownValue(properties, name) : additional;
      return [name, make(making, own, depth + 1)];
    }),
  );
}

function makeArray(making: Making, schema: Schema, depth: number): unknown[] {
  const prefix = Array.isArray(schema["prefixItems"]) ? schema["prefixItems"] : [];
  const least = typeof schema["minItems"] === "number" ? schema["minItems"] : 0;
  const most = typeof schema["maxItems"] === "number" ? schema["maxItems"] : Number.POSITIVE_INFINITY;
  if (least > most) throw unsatisfiable(making, "no list has that length");
  const closed = schema["items"] === false ? prefix.length : Number.POSITIVE_INFINITY;
  const liked = depth < frugalDepth ? Math.max(least, prefix.length, making.random.int(1, 3)) : least;
  const length = Math.max(least, Math.min(liked, most, closed));
  const made: unknown[] = [];
  const seen = new Set<string>();
  for (let failed = 0; made.length < length; ) {
    const own = made.length < prefix.length ? prefix[made.length] : schema["items"];
    const value = make(making, own, depth + 1);
    const key = canonical(value);
    if (schema["uniqueItems"] !== true || !seen.has(key)) {
      seen.add(key);
      made.push(value);
      continue;
    }
    if (++failed < 50) continue;
    if (made.length >= least) return made;
    throw unsatisfiable(making, "too few different items were found");
  }
  return made;
}

/** JSON text in which the order of properties makes no difference. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    isSchema(inner) ? Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)) : inner,
  );
}
