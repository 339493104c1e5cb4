import type { JsonObject } from "../contract/chat.ts";
import { isObject } from "./json.ts";
import { changedReferences, definitionOf, referencesIn } from "./schemaReferences.ts";

/** Two whole schemas that are compared, and what has been found of their definitions. */
export type Comparison = {
  before: JsonObject;
  after: JsonObject;
  /** References of `after` that lead to something else than in `before`. */
  changed: ReadonlySet<string>;
  /** Pairs of parts behind references, as JSON: whether they break callers. A pair being compared counts as sound. */
  compared: Map<string, boolean>;
};

/** Begins the comparison of two whole schemas. */
export function newComparison(before: JsonObject, after: JsonObject): Comparison {
  return { before, after, changed: changedReferences(before, after), compared: new Map() };
}

const lowerBounds = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const upperBounds = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
const silent = ["title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment"];
const naming = ["$defs", "definitions", "$schema", "$id", "$anchor", "$dynamicAnchor", "$vocabulary"];
/** Keywords that by themselves accept or refuse nothing. */
const inert = new Set([...silent, ...naming]);
/** Those compared one by one, here or by `breakingChanges`. */
const understood = new Set([
  ...["type", "enum", "const", "properties", "required", "items", "additionalProperties"],
  ...lowerBounds,
  ...upperBounds,
]);
/** What these speak of is spared by a neighbouring keyword, so that taking one away can refuse more. */
const sparing = ["patternProperties", "prefixItems", "minContains"];

/** Why `now` may refuse what `old` accepts; keywords not understood count as narrower once they change. */
export function narrowing(old: JsonObject, now: JsonObject, comparison: Comparison): string | undefined {
  const lost = lostTypes(old["type"], now["type"]);
  if (lost) return lost;
  const values = valuesOf(now);
  if (values) {
    const accepted = valuesOf(old);
    const refused = accepted?.find((value) => !values.includes(value));
    if (!accepted) return "now takes only listed values";
    if (refused !== undefined) return `no longer takes ${refused}`;
  }
  for (const keyword of lowerBounds)
    if (isNumber(now[keyword]) && !(isNumber(old[keyword]) && old[keyword] >= now[keyword]))
      return `has a tighter ${keyword}`;
  for (const keyword of upperBounds)
    if (isNumber(now[keyword]) && !(isNumber(old[keyword]) && old[keyword] <= now[keyword]))
      return `has a tighter ${keyword}`;
  for (const [keyword, value] of Object.entries(now))
    if (!inert.has(keyword) && !understood.has(keyword) && !means(old[keyword], value, comparison))
      return `changed its ${keyword}`;
  const gone = sparing.find((keyword) => keyword in old && !(keyword in now));
  return gone === undefined ? undefined : `has lost its ${gone}`;
}

/** Whether two parts of the schemas are the same, also behind their references. */
export function means(old: unknown, now: unknown, { changed }: Comparison): boolean {
  if (JSON.stringify(old) !== JSON.stringify(now)) return false;
  return changed.size === 0 || !referencesIn(now).some((reference) => changed.has(reference));
}

/**
 * The schema with what its local reference leads to in the reference's place; null when that cannot be told (the
 * reference is of another form, or what stands beside it would have to be merged).
 */
export function followed(schema: JsonObject, root: JsonObject): JsonObject | null {
  let current = schema;
  for (let hops = 0; hops < 8; hops += 1) {
    const { $ref: reference, ...beside } = current;
    if (reference === undefined) return current;
    const target = typeof reference === "string" ? definitionOf(reference, root) : undefined;
    if (!isObject(target)) return null;
    if (Object.keys(beside).some((keyword) => keyword in target && !inert.has(keyword))) return null;
    current = { ...target, ...beside };
  }
  return null;
}

function lostTypes(before: unknown, after: unknown): string | undefined {
  if (after === undefined) return undefined;
  const now = [after].flat();
  if (before === undefined) return `now takes only ${now.join(", ")}`;
  const lost = [before].flat().filter((type) => !now.includes(type) && !(type === "integer" && now.includes("number")));
  return lost.length > 0 ? `no longer takes ${lost.join(", ")}` : undefined;
}

/** The values a schema lists, as JSON. */
function valuesOf(schema: JsonObject): string[] | undefined {
  if ("const" in schema) return [JSON.stringify(schema["const"])];
  return Array.isArray(schema["enum"]) ? schema["enum"].map((value) => JSON.stringify(value)) : undefined;
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}
