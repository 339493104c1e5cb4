import type { KeyKind } from "../contract/keys.ts";
import { sha256Hex } from "./digest.ts";

/**
 * A key is `weir_sk_` or `weir_pk_`, 160 random bits and a checksum of all before it, so that a mistyped or cut key
 * is known for one without asking the store. Base 32 without the letters that are taken for digits (Crockford's),
 * lower case only.
 */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
const prefixes: Record<KeyKind, string> = { secret: "weir_sk_", publishable: "weir_pk_" };
const shape = /^weir_[sp]k_[0-9a-hjkmnp-tv-z]{39}$/;
const randomBytes = 20;
const checksumChars = 7;

/** A new key of 47 characters, from the platform's random source. */
export function newKeySecret(kind: KeyKind): string {
  const body = prefixes[kind] + base32(crypto.getRandomValues(new Uint8Array(randomBytes)));
  return body + checksum(body);
}

/** What kind of key the text is; null when it cannot be a key: wrong length, alphabet, case or checksum. */
export function checkKeySecret(text: string): KeyKind | null {
  if (!shape.test(text)) return null;
  if (checksum(text.slice(0, -checksumChars)) !== text.slice(-checksumChars)) return null;
  return text.startsWith(prefixes.secret) ? "secret" : "publishable";
}

/** SHA-256 of the whole key as 64 hex digits: what is stored and looked up instead of the key. */
export function keyDigest(text: string): Promise<string> {
  return sha256Hex(text);
}

/** Prefix, first and last four characters (`weir_sk_9f3k…0x7q`): enough to recognise a key, far from enough to use it. */
export function keyHint(text: string): string {
  return `${text.slice(0, prefixes.secret.length + 4)}…${text.slice(-4)}`;
}

function base32(bytes: Uint8Array): string {
  let text = "";
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += alphabet[(held >>> (bits - 5)) & 31];
    held &= 31;
  }
  return text;
}

function checksum(text: string): string {
  const crc = crc32(text);
  let digits = "";
  for (let shift = (checksumChars - 1) * 5; shift >= 0; shift -= 5) digits += alphabet[(crc >>> shift) & 31];
  return digits;
}

/** CRC-32 of ISO 3309 (as in zlib), bit by bit: a key is short. It finds any change within four neighbouring characters. */
function crc32(ascii: string): number {
  let crc = 0xffffffff;
  for (let at = 0; at < ascii.length; at++) {
    crc ^= ascii.charCodeAt(at);
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
