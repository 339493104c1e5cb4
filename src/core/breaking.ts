import type { JsonObject } from "../contract/chat.ts";
import type { BreakingChange } from "../contract/templates.ts";
import { isObject } from "./json.ts";
import { propertiesOf, requiredOf } from "./schemaPaths.ts";

/** What would break callers who give variables for `before` when `after` takes its place; nested names are dotted. */
export function breakingChanges(before: JsonObject, after: JsonObject, prefix = ""): BreakingChange[] {
  const changes: BreakingChange[] = [];
  const old = propertiesOf(before);
  const now = propertiesOf(after);
  for (const [name, property] of Object.entries(now)) {
    const variable = prefix + name;
    if (mustBeGiven(after, name) && !(Object.hasOwn(old, name) && mustBeGiven(before, name)))
      changes.push({
        variable,
        change: "required_added",
        message: Object.hasOwn(old, name) ? `"${variable}" is now required` : `"${variable}" is new and required`,
      });
    else if (hasDefault(before, name) && !hasDefault(after, name))
      changes.push({ variable, change: "required_added", message: `"${variable}" has lost its default` });
    if (Object.hasOwn(old, name)) changes.push(...narrowed(old[name], property, variable));
  }
  // Only the outermost names are closed: a nested object takes properties that its schema does not list.
  if (prefix === "")
    for (const name of Object.keys(old))
      if (!Object.hasOwn(now, name))
        changes.push({ variable: name, change: "removed", message: `"${name}" is no longer a variable` });
  return changes;
}

function mustBeGiven(schema: JsonObject, name: string): boolean {
  return requiredOf(schema).includes(name) && !hasDefault(schema, name);
}

function hasDefault(schema: JsonObject, name: string): boolean {
  const property = Object.hasOwn(propertiesOf(schema), name) ? propertiesOf(schema)[name] : undefined;
  return isObject(property) && "default" in property;
}

const lowerBounds = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const upperBounds = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
/** Keywords that say nothing about what is accepted, and those compared one by one. */
const understood = new Set([
  ...["title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment"],
  ...["type", "enum", "const", "properties", "required", "items"],
  ...lowerBounds,
  ...upperBounds,
]);

function narrowed(before: unknown, after: unknown, variable: string): BreakingChange[] {
  if (after === true || before === false) return [];
  const old = isObject(before) ? before : {};
  const now = isObject(after) ? after : { not: {} };
  const reason = narrowing(old, now);
  if (reason) return [{ variable, change: "type_narrowed", message: `"${variable}" ${reason}` }];
  const items = "items" in now ? narrowed(old["items"] ?? true, now["items"], `${variable}.*`) : [];
  return [...breakingChanges(old, now, `${variable}.`), ...items];
}

/** Why `now` may refuse what `old` accepts; keywords it does not understand count as narrower once they change. */
function narrowing(old: JsonObject, now: JsonObject): string | undefined {
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
    if (!understood.has(keyword) && JSON.stringify(value) !== JSON.stringify(old[keyword]))
      return `changed its ${keyword}`;
  return undefined;
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
