import { decodeTime, monotonicFactory } from "ulidx";
import { hexOf } from "./digest.ts";

export type IdPrefix =
  | "run"
  | "tpl"
  | "ver"
  | "key"
  | "prj"
  | "trg"
  | "evt"
  | "end"
  | "dlv"
  | "ups"
  | "lbm"
  | "req"
  | "bat";

const ulid = monotonicFactory();

/** `PREFIX_` and a ULID in lower case: ordering by id is ordering by creation (to the ms, within one isolate exactly). */
export function newId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  return `${prefix}_${ulid(nowMs).toLowerCase()}`;
}

/** Milliseconds since the epoch at which the id was made; null when it is none of ours. */
export function idTimeMs(id: string): number | null {
  const [, time] = /^[a-z]{3}_([0-7][0-9a-hjkmnp-tv-z]{25})$/.exec(id) ?? [];
  return time === undefined ? null : decodeTime(time.toUpperCase());
}

/** The same with 128 more random bits after the ULID, whose own ones count up within a millisecond: nobody guesses it. */
export function newUnguessableId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  return newId(prefix, nowMs) + hexOf(crypto.getRandomValues(new Uint8Array(16)));
}
