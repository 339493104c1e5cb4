import { dereference, Validator } from "@cfworker/json-schema";
import safeRegex from "safe-regex2";
import type { JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import { AppError } from "./errors.ts";
import { isObject } from "./json.ts";
import { isVariableName } from "./mustache.ts";
import type { VariableUse } from "./variableUses.ts";

type Shape = { plain: boolean; section: boolean; iterates: boolean; required: boolean; children: Map<string, Shape> };

const newShape = (): Shape => ({ plain: false, section: false, iterates: false, required: false, children: new Map() });

/**
 * The JSON Schema that a text implies. A plain variable is a required string, number or boolean; a section a required
 * list, boolean or object; `a.b` an object `a` that requires `b`. What stands inside a section may come from the section's
 * value, so it is declared but not required.
 */
export function inferSchema(uses: readonly VariableUse[]): JsonObject {
  const root = newShape();
  for (const use of uses) {
    const required = !use.conditional;
    let shape = root;
    for (const segment of use.path) {
      const child = shape.children.get(segment) ?? newShape();
      shape.children.set(segment, child);
      child.required ||= required;
      shape = child;
    }
    if (use.kind === "variable") shape.plain = true;
    else shape.section = true;
    shape.iterates ||= use.iterates;
  }
  return { type: "object", ...members(root) };
}

function members(shape: Shape): JsonObject {
  const children = [...shape.children];
  const required = children.filter(([, child]) => child.required).map(([name]) => name);
  const properties = Object.fromEntries(children.map(([name, child]) => [name, schemaOf(child)]));
  return { properties, ...(required.length > 0 && { required }) };
}

function schemaOf(shape: Shape): JsonObject {
  const types = new Set<string>();
  if (shape.plain || shape.iterates) for (const type of ["string", "number", "boolean"]) types.add(type);
  if (shape.section) for (const type of ["array", "boolean", "object"]) types.add(type);
  if (shape.children.size > 0) types.add("object");
  const [only] = types;
  return { type: types.size === 1 ? only : [...types], ...(shape.children.size > 0 && members(shape)) };
}

function refused(message: string, param: string): AppError {
  return new AppError("invalid_template", message, { param });
}

/** Refuses a schema that cannot describe variables: not an object's, bad names, too large, or unusable. */
export function assertVariableSchema(schema: JsonObject, param: string): void {
  if (schema["type"] !== "object") throw refused("The variables' schema must have type object.", `${param}.type`);
  const properties = schema["properties"] ?? {};
  if (!isObject(properties)) throw refused("`properties` must be an object of schemas.", `${param}.properties`);
  const names = Object.keys(properties);
  if (names.length > limits.maxVariables)
    throw refused(`More than ${limits.maxVariables} variables.`, `${param}.properties`);
  for (const name of names) {
    if (!isVariableName(name)) throw refused(`"${name}" cannot be a variable's name.`, `${param}.properties.${name}`);
    if (!isObject(properties[name]) && typeof properties[name] !== "boolean")
      throw refused(`The schema of "${name}" must be an object.`, `${param}.properties.${name}`);
  }
  const required = schema["required"] ?? [];
  if (!Array.isArray(required)) throw refused("`required` must be a list of names.", `${param}.required`);
  for (const name of required)
    if (typeof name !== "string" || !Object.hasOwn(properties, name))
      throw refused(`\`required\` names "${String(name)}", which is not in \`properties\`.`, `${param}.required`);
  assertUsableSchema(schema, param);
  assertDefaults(schema, properties, param);
}

/** Refuses a JSON Schema that is too large or that no value can be checked against (broken references, patterns). */
export function assertUsableSchema(schema: JsonObject, param: string): void {
  if (new TextEncoder().encode(JSON.stringify(schema)).length > limits.maxSchemaBytes)
    throw new AppError("too_large", `A schema may have ${limits.maxSchemaBytes} bytes (maxSchemaBytes).`, {
      param,
      details: { limit: "maxSchemaBytes", max: limits.maxSchemaBytes },
    });
  try {
    const lookup: Record<string, unknown> = dereference(structuredClone(schema));
    for (const part of Object.values(lookup)) if (isObject(part)) assertUsablePart(part, lookup);
  } catch (cause) {
    throw new AppError("invalid_template", `The schema cannot be used: ${messageOf(cause)}`, { param, cause });
  }
}

/** A pattern with repetitions inside repetitions can hold up the isolate, and all its requests, for minutes. */
function assertPattern(pattern: string): void {
  new RegExp(pattern, "u");
  if (!safeRegex(pattern)) throw new Error(`the pattern ${JSON.stringify(pattern)} can take exponential time`);
}

const knownTypes = ["string", "number", "integer", "boolean", "null", "array", "object"];

function assertUsablePart(part: JsonObject, lookup: Readonly<Record<string, unknown>>): void {
  const types = part["type"] === undefined ? [] : [part["type"]].flat();
  for (const type of types)
    if (typeof type !== "string" || !knownTypes.includes(type)) throw new Error(`${JSON.stringify(type)} is no type`);
  if (part["$ref"] !== undefined && !Object.hasOwn(lookup, String(part["__absolute_ref__"])))
    throw new Error(`the reference ${JSON.stringify(part["$ref"])} leads nowhere`);
  if (part["pattern"] !== undefined) assertPattern(String(part["pattern"]));
  if (isObject(part["patternProperties"]))
    for (const pattern of Object.keys(part["patternProperties"])) assertPattern(pattern);
  if (part["enum"] !== undefined && !Array.isArray(part["enum"])) throw new Error("`enum` must be a list");
}

function assertDefaults(schema: JsonObject, properties: JsonObject, param: string): void {
  for (const [name, property] of Object.entries(properties)) {
    if (!isObject(property) || !("default" in property)) continue;
    const alone = structuredClone({ ...schema, properties: { [name]: property }, required: [] });
    let valid: boolean;
    try {
      valid = new Validator(alone, "2020-12").validate({ [name]: property["default"] }).valid;
    } catch (cause) {
      throw new AppError("invalid_template", `The schema cannot be used: ${messageOf(cause)}`, { param, cause });
    }
    if (!valid)
      throw refused(`The default of "${name}" does not fit its own schema.`, `${param}.properties.${name}.default`);
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.message.split("\n")[0] ?? "") : "unknown fault";
}
