import { decodeTime, encodeTime, monotonicFactory } from "ulidx";
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

/** Random bytes for ids, taken from the platform many at a time: each time costs more than the bytes. */
const chance = new Uint8Array(256);
let chanceUsed = chance.length;

/** From 0 to below 1, as evenly as 256 steps are; the alphabet of ids has 32 letters. */
function random(): number {
  if (chanceUsed === chance.length) {
    crypto.getRandomValues(chance);
    chanceUsed = 0;
  }
  return (chance[chanceUsed++] as number) / 256;
}

const ulid = monotonicFactory(random);

/** Crockford's base 32, as in a ULID, lower case. */
const digits = "0123456789abcdefghjkmnpqrstvwxyz";

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

/**
 * The same id whenever it is asked for: of this time, and of what `name` says in place of chance. 80 bits of SHA-256, as
 * many as are random in other ids.
 */
export async function derivedId(prefix: IdPrefix, timeMs: number, name: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name)));
  let chance = "";
  // 5 bytes are 8 digits of 5 bits.
  for (const at of [0, 5]) {
    let bits = 0n;
    for (const byte of digest.subarray(at, at + 5)) bits = (bits << 8n) | BigInt(byte);
    for (let shift = 35n; shift >= 0n; shift -= 5n) chance += digits[Number((bits >> shift) & 31n)];
  }
  return `${prefix}_${encodeTime(timeMs, 10).toLowerCase()}${chance}`;
}
