import type { JsonObject } from "../contract/chat.ts";
import { isObject } from "./json.ts";

const referring = new Set(["$ref", "$dynamicRef", "$recursiveRef"]);

/** What a local reference (`#/$defs/name`) leads to; undefined for one that leads nowhere or is of another form. */
export function definitionOf(reference: string, root: JsonObject): unknown {
  if (!reference.startsWith("#/")) return undefined;
  let target: unknown = root;
  for (const segment of reference.slice(2).split("/")) {
    const key = segment.replaceAll("~1", "/").replaceAll("~0", "~");
    if (Array.isArray(target)) target = target[Number(key)];
    else target = isObject(target) && Object.hasOwn(target, key) ? target[key] : undefined;
  }
  return target;
}

/** Every reference that stands anywhere inside a part of a schema, as written. */
export function referencesIn(part: unknown): string[] {
  if (typeof part !== "object" || part === null) return [];
  return Object.entries(part).flatMap(([key, value]) =>
    typeof value === "string" && referring.has(key) ? [value] : referencesIn(value),
  );
}

/**
 * The references of `after` that do not mean what they mean in `before`: what they lead to differs, there or behind
 * further references. Those we cannot follow count as changed once anything differs.
 */
export function changedReferences(before: JsonObject, after: JsonObject): ReadonlySet<string> {
  const changed = new Set<string>();
  if (JSON.stringify(before) === JSON.stringify(after)) return changed;
  const inner = new Map<string, readonly string[]>();
  for (const reference of referencesIn(after)) {
    if (inner.has(reference)) continue;
    const now = definitionOf(reference, after);
    inner.set(reference, referencesIn(now));
    if (now === undefined || JSON.stringify(now) !== JSON.stringify(definitionOf(reference, before)))
      changed.add(reference);
  }
  for (let grown = true; grown; ) {
    grown = false;
    for (const [reference, behind] of inner)
      if (!changed.has(reference) && behind.some((next) => changed.has(next))) {
        changed.add(reference);
        grown = true;
      }
  }
  return changed;
}
