import { Validator } from "@cfworker/json-schema";
import type { JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import type { Variables } from "../contract/templates.ts";
import { AppError } from "./errors.ts";
import { isObject } from "./json.ts";
import { missingVariable } from "./render.ts";
import { dereferenced, propertiesOf, requiredOf } from "./schemaPaths.ts";
import type { VariableUse } from "./variableUses.ts";

/**
 * The caller's variables with the schema's defaults filled in, checked. Throws `invalid_request` naming
 * `variables.PATH` for an unknown, missing or ill-typed one; a missing one with the place of its first use in `uses`.
 */
export function completeVariables(schema: JsonObject, given: Variables, uses: readonly VariableUse[] = []): Variables {
  const names = Object.keys(given);
  if (names.length > limits.maxVariables)
    throw new AppError("invalid_request", `More than ${limits.maxVariables} variables.`, { param: "variables" });
  const declared = propertiesOf(schema);
  for (const name of names)
    if (!Object.hasOwn(declared, name))
      throw new AppError("invalid_request", `The template has no variable "${name}".`, { param: `variables.${name}` });
  const complete = withDefaults(schema, given, schema) as Variables;
  for (const name of requiredOf(schema)) {
    if (Object.hasOwn(complete, name)) continue;
    const use = uses.find((candidate) => candidate.path[0] === name);
    if (use) throw missingVariable(name, use.template, use.at);
    throw new AppError("invalid_request", `The variable "${name}" is missing.`, { param: `variables.${name}` });
  }
  validateVariables(schema, complete);
  return complete;
}

function withDefaults(part: unknown, value: unknown, root: JsonObject): unknown {
  const schema = isObject(part) ? dereferenced(part, root) : undefined;
  if (!isObject(schema)) return value;
  if (Array.isArray(value)) return value.map((item) => withDefaults(schema["items"], item, root));
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([name, inner]): [string, unknown] => [
    name,
    Object.hasOwn(propertiesOf(schema), name) ? withDefaults(propertiesOf(schema)[name], inner, root) : inner,
  ]);
  for (const [name, property] of Object.entries(propertiesOf(schema)))
    if (!Object.hasOwn(value, name) && isObject(property) && "default" in property)
      entries.push([name, structuredClone(property["default"])]);
  return Object.fromEntries(entries);
}

// The validator marks the schema it is given, so it gets a copy; a resolved template is checked many times.
const validators = new WeakMap<JsonObject, Validator>();

function validatorOf(schema: JsonObject): Validator {
  const known = validators.get(schema);
  if (known) return known;
  const made = new Validator(structuredClone(schema), "2020-12", false);
  validators.set(schema, made);
  return made;
}

function validateVariables(schema: JsonObject, values: Variables): void {
  let errors: readonly { instanceLocation: string; keyword: string; error: string }[];
  try {
    errors = validatorOf(schema).validate(values).errors;
  } catch (cause) {
    // A schema that refers to itself without end.
    throw new AppError("invalid_request", "The variables cannot be checked against their schema.", {
      param: "variables",
      cause,
    });
  }
  const deepest = errors.toSorted((a, b) => b.instanceLocation.length - a.instanceLocation.length)[0];
  if (!deepest) return;
  const path = deepest.instanceLocation
    .split("/")
    .slice(1)
    .map((segment) => decodeURIComponent(segment).replaceAll("~1", "/").replaceAll("~0", "~"));
  const param = ["variables", ...path].join(".");
  throw new AppError("invalid_request", `${param}: ${deepest.error}`, { param });
}
