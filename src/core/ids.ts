import { decodeTime, monotonicFactory } from "ulidx";

export type IdPrefix = "run" | "tpl" | "ver" | "key" | "prj" | "trg" | "evt" | "end" | "dlv" | "ups" | "lbm" | "req";

const ulid = monotonicFactory();

/** `PREFIX_` and a ULID in lower case: ordering by id is ordering by creation (to the ms, within one isolate exactly). */
export function newId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  return `${prefix}_${ulid(nowMs).toLowerCase()}`;
}

/** Milliseconds since the epoch at which the id was made. */
export function idTimeMs(id: string): number {
  return decodeTime(id.slice(id.indexOf("_") + 1).toUpperCase());
}
