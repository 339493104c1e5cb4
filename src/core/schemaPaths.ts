import type { JsonObject } from "../contract/chat.ts";
import { isObject } from "./json.ts";
import { definitionOf } from "./schemaReferences.ts";

/** What is known of a part of a schema: its object form, `open` when it may be anything, undefined when it is not declared. */
export type SchemaPart = JsonObject | "open" | undefined;

/** The schemas of an object's listed properties, by name; empty when it lists none. */
export function propertiesOf(schema: JsonObject): JsonObject {
  return isObject(schema["properties"]) ? schema["properties"] : {};
}

/** The names that an object must have. */
export function requiredOf(schema: JsonObject): readonly string[] {
  return Array.isArray(schema["required"]) ? schema["required"].filter((name) => typeof name === "string") : [];
}

/** The schema of a property, of an array's element for a number, or `open` where the schema leaves it open. */
export function childSchema(schema: SchemaPart, name: string, root: JsonObject): SchemaPart {
  const parent = dereferenced(schema, root);
  if (parent === undefined || parent === "open") return parent;
  if (Object.hasOwn(propertiesOf(parent), name)) return part(propertiesOf(parent)[name]);
  // Variables are closed: only those listed can be given.
  if (parent === root) return undefined;
  if (/^\d+$/.test(name) && mayBe(parent, "array")) return itemSchema(parent, root);
  if (combines(parent) || (mayBe(parent, "object") && !isObject(parent["properties"]))) return "open";
  return undefined;
}

/** What a section over such a value puts on the context stack: the value itself, or its elements for a list. */
export function sectionSchema(schema: SchemaPart, root: JsonObject): SchemaPart {
  const value = dereferenced(schema, root);
  if (value === undefined || value === "open" || combines(value)) return value && "open";
  if (!mayBe(value, "array")) return value;
  return mayBe(value, "object") ? "open" : itemSchema(value, root);
}

/** Whether an object may lack `name`; undefined when the schema does not speak of it. */
export function isOptional(schema: SchemaPart, name: string, root: JsonObject): boolean | undefined {
  const parent = dereferenced(schema, root);
  if (parent === undefined || parent === "open") return undefined;
  if (!Object.hasOwn(propertiesOf(parent), name)) return undefined;
  return !requiredOf(parent).includes(name);
}

function itemSchema(schema: JsonObject, root: JsonObject): SchemaPart {
  return "items" in schema ? dereferenced(part(schema["items"]), root) : "open";
}

function part(schema: unknown): SchemaPart {
  return isObject(schema) ? schema : "open";
}

function combines(schema: JsonObject): boolean {
  return ["anyOf", "oneOf", "allOf", "if", "$ref", "patternProperties"].some((keyword) => keyword in schema);
}

function mayBe(schema: JsonObject, type: "array" | "object"): boolean {
  const declared = schema["type"];
  if (declared === undefined) return true;
  return declared === type || (Array.isArray(declared) && declared.includes(type));
}

/** Follows local references (`#/$defs/name`), a bounded number of times; others count as open. */
export function dereferenced(schema: SchemaPart, root: JsonObject): SchemaPart {
  let current = schema;
  for (let hops = 0; hops < 8; hops += 1) {
    if (current === undefined || current === "open") return current;
    const reference = current["$ref"];
    if (typeof reference !== "string") return current;
    current = part(definitionOf(reference, root));
  }
  return "open";
}
