import type { Page } from "../contract/paging.ts";
import { AppError } from "./errors.ts";

/** The opaque cursor of a list: which list, and the key of the last row given. */
export function cursorOf(list: string, key: string): string {
  return btoa(`${list} ${key}`).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The key in a cursor that `list` has given, which `key` describes whole; undefined without one. Throws `invalid_request` for any other text. */
export function startOf(cursor: string | undefined, list: string, key = /^[\w./-]{1,100}$/): string | undefined {
  if (cursor === undefined) return undefined;
  try {
    const text = atob(cursor.replaceAll("-", "+").replaceAll("_", "/"));
    const found = text.slice(list.length + 1);
    if (text.startsWith(`${list} `) && key.test(found)) return found;
  } catch {
    // Not base64url: refused below like any other text that is no cursor.
  }
  throw new AppError("invalid_request", "cursor: not one that this list has given", { param: "cursor" });
}

/** A page out of rows that were read one beyond it. */
export function pageOf<Row>(rows: readonly Row[], limit: number, cursor: (row: Row) => string): Page<Row> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? cursor(last) : null };
}
