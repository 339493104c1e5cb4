import { limits } from "../contract/limits.ts";
import { base64Of, bytesOfBase64, hmac, sameText } from "./mac.ts";

/**
 * Standard Webhooks 1.0.0 (standardwebhooks.com), symmetric signatures: HMAC-SHA256 over `id.timestamp.body` in base64,
 * marked `v1`. WebCrypto alone, so that the same code signs in a Worker and verifies at a receiver, in Node or a browser.
 */
const secretPrefix = "whsec_";
const version = "v1,";

/** A message as it is signed. */
export type StandardMessage = {
  /** The same for every attempt to deliver it. */
  id: string;
  /** Of this attempt, seconds since the epoch. */
  timestamp: number;
  /** To the byte as it is sent; a text is sent as UTF-8. */
  body: string | Uint8Array;
};

/** The value of `webhook-signature`: one signature for each secret, so that a receiver may know the old or the new one. */
export async function signStandard(secrets: readonly string[], message: StandardMessage): Promise<string> {
  const { id, timestamp, body } = message;
  const signatures = await Promise.all(secrets.map((secret) => signature(secret, [`${id}.${timestamp}.`, body])));
  return signatures.join(" ");
}

/** What a header's name stands for; null when it is not there. Names are asked for in lower case. */
export type HeaderOf = (name: string) => string | null | undefined;

/** Why a message was refused. */
export type StandardFault =
  | "header_missing"
  | "id_malformed"
  | "timestamp_malformed"
  | "timestamp_out_of_tolerance"
  | "no_match";

/**
 * Null when one of the `v1` signatures is that of one of the secrets, and the timestamp is no further than
 * `limits.signatureToleranceSeconds` from now, to either side; signatures of other versions say nothing. Takes the same
 * time whichever signature and however much of it is right. Throws for a secret that is none.
 */
export async function standardFault(
  secrets: readonly string[],
  header: HeaderOf,
  body: string | Uint8Array,
  nowSeconds: number,
): Promise<StandardFault | null> {
  const id = header("webhook-id");
  const timestamp = header("webhook-timestamp");
  const given = header("webhook-signature");
  if (!id || !timestamp || !given) return "header_missing";
  // The full stop parts what is signed: in an id it would let the same signature stand for another time and body.
  if (id.includes(".")) return "id_malformed";
  const seconds = wholeSeconds(timestamp);
  if (seconds === null) return "timestamp_malformed";
  if (Math.abs(nowSeconds - seconds) > limits.signatureToleranceSeconds) return "timestamp_out_of_tolerance";
  const expected = await Promise.all(secrets.map((secret) => signature(secret, [`${id}.${timestamp}.`, body])));
  const candidates = given.split(" ").filter((candidate) => candidate.startsWith(version));
  return anySame(candidates, expected) ? null : "no_match";
}

/** Whether `standardFault` finds none. */
export async function verifyStandard(
  secrets: readonly string[],
  header: HeaderOf,
  body: string | Uint8Array,
  nowSeconds: number,
): Promise<boolean> {
  return (await standardFault(secrets, header, body, nowSeconds)) === null;
}

/** Decimal digits and nothing else, as written by whoever means a number of seconds; null for all that parsers forgive. */
export function wholeSeconds(text: string): number | null {
  return /^(?:0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : null;
}

/** Whether a candidate is one of those expected; looks at all of them in any case. */
export function anySame(candidates: readonly string[], expected: readonly string[]): boolean {
  let found = false;
  for (const candidate of candidates) for (const one of expected) if (sameText(candidate, one)) found = true;
  return found;
}

/** A new secret of 256 random bits. */
export function newStandardSecret(): string {
  return secretPrefix + base64Of(crypto.getRandomValues(new Uint8Array(32)));
}

/** The bytes that a `whsec_` secret stands for; null for what is none. */
export function standardSecretBytes(secret: string): Uint8Array | null {
  return secret.startsWith(secretPrefix) ? bytesOfBase64(secret.slice(secretPrefix.length)) : null;
}

async function signature(secret: string, parts: readonly (string | Uint8Array)[]): Promise<string> {
  const key = standardSecretBytes(secret);
  if (!key) throw new TypeError("a secret of Standard Webhooks is `whsec_` and base64");
  return version + base64Of(await hmac("SHA-256", key, parts));
}
