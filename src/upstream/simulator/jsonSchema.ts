import { limits } from "../../contract/limits.ts";
import { AppError } from "../../core/errors.ts";
import type { Random } from "./random.ts";

export type Schema = Record<string, unknown>;

/** What making up one value needs to know; `left` is the number of values and schemas it may still visit. */
export type Making = { root: unknown; random: Random; words: readonly string[]; param: string; left: number };

/** Deeper than this only what must be there is made, so that recursive schemas come to an end. */
export const frugalDepth = 8;
const maxDepth = 128;

export function unsatisfiable(making: Making, reason: string): AppError {
  return new AppError("invalid_request", `${making.param}: the simulator cannot satisfy this schema: ${reason}`, {
    param: making.param,
  });
}

export function spend(making: Making, amount = 1): void {
  making.left -= amount;
  if (making.left < 0) {
    throw unsatisfiable(making, `it asks for more than ${limits.maxSimulatedValues} values`);
  }
}

export function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * One schema without `$ref`, `allOf`, `anyOf` and `oneOf`: references followed, all parts merged, of
 * alternatives the first (when deep inside, the shallowest).
 */
export function flatten(making: Making, schema: unknown, depth: number): Schema {
  spend(making);
  if (depth > maxDepth) throw unsatisfiable(making, "it never ends");
  if (schema === undefined || schema === true) return {};
  if (!isSchema(schema)) throw unsatisfiable(making, schema === false ? "nothing is allowed here" : "it is no schema");
  const { $ref, allOf, anyOf, oneOf, ...own } = schema;
  const parts: unknown[] = [];
  if (typeof $ref === "string") parts.push(resolve(making, $ref));
  if (Array.isArray(allOf)) parts.push(...allOf);
  for (const branches of [anyOf, oneOf]) if (Array.isArray(branches)) parts.push(branch(making, branches, depth));
  return parts.reduce((whole: Schema, part) => merge(making, whole, flatten(making, part, depth + 1)), own);
}

function branch(making: Making, branches: unknown[], depth: number): unknown {
  if (depth < frugalDepth) return branches[0] ?? false;
  const heights = branches.map((each) => height(making, each, []));
  return branches[heights.indexOf(Math.min(...heights))] ?? false;
}

/** How many levels the least value of a schema has; infinite when it must contain itself. */
function height(making: Making, schema: unknown, refs: string[]): number {
  spend(making);
  if (!isSchema(schema)) return 0;
  const { $ref, allOf, anyOf, oneOf, required, properties, items, minItems } = schema;
  const inner: number[] = [0];
  if (typeof $ref === "string") {
    if (refs.includes($ref)) return Number.POSITIVE_INFINITY;
    inner.push(height(making, resolve(making, $ref), [...refs, $ref]));
  }
  if (Array.isArray(allOf)) inner.push(...allOf.map((part) => height(making, part, refs)));
  for (const branches of [anyOf, oneOf]) {
    if (Array.isArray(branches)) inner.push(Math.min(...branches.map((each) => height(making, each, refs))));
  }
  if (Array.isArray(required) && isSchema(properties)) {
    for (const name of required) inner.push(1 + height(making, ownValue(properties, String(name)), refs));
  }
  if (typeof minItems === "number" && minItems > 0) inner.push(1 + height(making, items, refs));
  return Math.max(...inner);
}

/** A reference within the same document: `#`, or `#/` and a JSON pointer. */
function resolve(making: Making, ref: string): unknown {
  const fail = () => unsatisfiable(making, `${JSON.stringify(ref)} leads nowhere`);
  if (ref !== "#" && !ref.startsWith("#/")) throw fail();
  let found: unknown = making.root;
  for (const step of ref.split("/").slice(1)) {
    const name = decoded(step).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, name)) throw fail();
    found = ownValue(found as Schema, name);
  }
  return found;
}

function decoded(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

/** A property of the object itself, never one of its prototype. */
export function ownValue(object: Schema, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

const larger = new Set(["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"]);
const smaller = new Set(["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"]);

/** Both schemas at once, as far as keywords can be combined; else the second one's word counts. */
function merge(making: Making, first: Schema, second: Schema): Schema {
  const names = new Set([...Object.keys(first), ...Object.keys(second)]);
  return Object.fromEntries([...names].map((name) => [name, mergeKeyword(making, name, first, second)]));
}

function mergeKeyword(making: Making, name: string, first: Schema, second: Schema): unknown {
  if (!Object.hasOwn(first, name)) return second[name];
  if (!Object.hasOwn(second, name)) return first[name];
  const [a, b] = [first[name], second[name]];
  if (typeof a === "number" && typeof b === "number" && larger.has(name)) return Math.max(a, b);
  if (typeof a === "number" && typeof b === "number" && smaller.has(name)) return Math.min(a, b);
  if (name === "type") return commonTypes(making, a, b);
  if (name === "required") return [...new Set([a, b].flat())];
  if (name === "enum" && Array.isArray(a) && Array.isArray(b)) {
    const known = new Set(b.map((value) => JSON.stringify(value)));
    return a.filter((value) => known.has(JSON.stringify(value)));
  }
  if (name === "properties" && isSchema(a) && isSchema(b)) {
    const both = Object.entries(a).map(([key, value]) => [
      key,
      Object.hasOwn(b, key) ? { allOf: [value, b[key]] } : value,
    ]);
    return Object.fromEntries([...both, ...Object.entries(b).filter(([key]) => !Object.hasOwn(a, key))]);
  }
  if (name === "items" || name === "additionalProperties") {
    if (a === false || b === false) return false;
    return { allOf: [a, b] };
  }
  return b;
}

function commonTypes(making: Making, a: unknown, b: unknown): unknown[] {
  const [first, second] = [[a].flat(), [b].flat()];
  const common = first.filter((type) => second.includes(type));
  const narrowed = [...first, ...second].includes("number") && [...first, ...second].includes("integer");
  if (narrowed && !common.includes("integer")) common.push("integer");
  if (common.length === 0) throw unsatisfiable(making, "its types exclude each other");
  return common;
}
