import type { JsonObject } from "../contract/chat.ts";
import type { BreakingChange } from "../contract/templates.ts";
import { isObject } from "./json.ts";
import { type Comparison, followed, means, narrowing, newComparison } from "./schemaNarrowing.ts";
import { propertiesOf, requiredOf } from "./schemaPaths.ts";

/** A part of a schema before and after. */
type Parts = { old: JsonObject; now: JsonObject };

/**
 * What would break callers who give variables for `before` when `after` takes its place; nested names are dotted, `*`
 * is a list's element, and an empty name means the variables together. It errs on the side of naming a change: a
 * keyword whose meaning is not compared counts once it differs. A property that `before` did not list is taken as one
 * that callers do not give.
 */
export function breakingChanges(before: JsonObject, after: JsonObject): BreakingChange[] {
  const comparison = newComparison(before, after);
  const parts = { old: before, now: after };
  const reason = narrowing(before, after, comparison);
  const together: BreakingChange[] = reason
    ? [{ variable: "", change: "type_narrowed", message: `the schema of the variables ${reason}` }]
    : [];
  return [...memberChanges(parts, "", comparison), ...together];
}

function memberChanges({ old, now }: Parts, prefix: string, comparison: Comparison): BreakingChange[] {
  const changes: BreakingChange[] = [];
  const before = propertiesOf(old);
  const after = propertiesOf(now);
  for (const name of new Set([...Object.keys(after), ...requiredOf(now)])) {
    const variable = prefix + name;
    const known = Object.hasOwn(before, name);
    if (mustBeGiven(now, name) && !mustBeGiven(old, name))
      changes.push({
        variable,
        change: "required_added",
        message: known ? `"${variable}" is now required` : `"${variable}" is new and required`,
      });
    else if (hasDefault(old, name) && !hasDefault(now, name))
      changes.push({ variable, change: "required_added", message: `"${variable}" has lost its default` });
    if (known && Object.hasOwn(after, name))
      changes.push(...narrowed({ old: before[name], now: after[name] }, variable, comparison));
  }
  for (const name of Object.keys(before)) {
    const variable = prefix + name;
    if (Object.hasOwn(after, name)) continue;
    // The outermost names are closed; a nested object says itself what it does with properties it does not list.
    if (prefix === "" || now["additionalProperties"] === false || now["unevaluatedProperties"] === false)
      changes.push({ variable, change: "removed", message: `"${variable}" is no longer a variable` });
    else if ("additionalProperties" in now)
      changes.push(...narrowed({ old: before[name], now: now["additionalProperties"] }, variable, comparison));
  }
  return changes;
}

function mustBeGiven(schema: JsonObject, name: string): boolean {
  return requiredOf(schema).includes(name) && !hasDefault(schema, name);
}

function hasDefault(schema: JsonObject, name: string): boolean {
  const property = Object.hasOwn(propertiesOf(schema), name) ? propertiesOf(schema)[name] : undefined;
  return isObject(property) && "default" in property;
}

function narrowed(part: { old: unknown; now: unknown }, variable: string, comparison: Comparison): BreakingChange[] {
  if (part.now === true || part.old === false) return [];
  if (part.now === false) return [{ variable, change: "type_narrowed", message: `"${variable}" is no longer taken` }];
  const old = isObject(part.old) ? part.old : {};
  const now = isObject(part.now) ? part.now : {};
  if (!("$ref" in old) && !("$ref" in now)) return partChanges({ old, now }, variable, comparison);
  // Definitions may refer to themselves and to each other: each pair is compared once.
  const pair = JSON.stringify([old, now]);
  const breaks = comparison.compared.get(pair);
  if (breaks !== undefined) return breaks ? [redefined(variable)] : [];
  comparison.compared.set(pair, false);
  const [before, after] = [followed(old, comparison.before), followed(now, comparison.after)];
  const unsure = means(old, now, comparison) ? [] : [redefined(variable)];
  const changes = before && after ? partChanges({ old: before, now: after }, variable, comparison) : unsure;
  comparison.compared.set(pair, changes.length > 0);
  return changes;
}

function redefined(variable: string): BreakingChange {
  return { variable, change: "type_narrowed", message: `"${variable}" changed its definition` };
}

function partChanges({ old, now }: Parts, variable: string, comparison: Comparison): BreakingChange[] {
  const reason = narrowing(old, now, comparison);
  if (reason) return [{ variable, change: "type_narrowed", message: `"${variable}" ${reason}` }];
  const items =
    "items" in now ? narrowed({ old: old["items"] ?? true, now: now["items"] }, `${variable}.*`, comparison) : [];
  // Of the properties that neither schema lists.
  const others =
    "additionalProperties" in now
      ? narrowed(
          { old: old["additionalProperties"] ?? true, now: now["additionalProperties"] },
          `${variable}.*`,
          comparison,
        )
      : [];
  return [...memberChanges({ old, now }, `${variable}.`, comparison), ...items, ...others];
}
