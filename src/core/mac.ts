/** Keyed digests by WebCrypto alone, so that they run in Workers, Node and browsers. */
export type MacAlgorithm = "SHA-1" | "SHA-256" | "SHA-512";

/** HMAC of the parts, one after the other without anything between them. */
export async function hmac(
  algorithm: MacAlgorithm,
  key: Uint8Array,
  parts: readonly (string | Uint8Array)[],
): Promise<Uint8Array> {
  const imported = await crypto.subtle.importKey("raw", copied(key), { name: "HMAC", hash: algorithm }, false, [
    "sign",
  ]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, joined(parts)));
}

/**
 * Whether two texts are the same, in a time that tells only their lengths, which are public. Texts and not bytes: an
 * encoding may have several texts for the same bytes, and only the one that a sender writes is a signature.
 */
export function sameText(one: string, other: string): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let at = 0; at < one.length; at++) difference |= one.charCodeAt(at) ^ other.charCodeAt(at);
  return difference === 0;
}

export function base64Of(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Null for what is not base64 (RFC 4648, section 4), padded or not. */
export function bytesOfBase64(text: string): Uint8Array | null {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null;
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

function joined(parts: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const pieces = parts.map((part) => (typeof part === "string" ? encoder.encode(part) : part));
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** WebCrypto takes no view of shared memory, which the type of a view does not rule out. */
const copied = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);
