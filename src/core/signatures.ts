import { limits } from "../contract/limits.ts";
import type { HmacSettings, TriggerScheme } from "../contract/triggers.ts";
import { hexOf, sha256Hex } from "./digest.ts";
import { isObject } from "./json.ts";
import { base64Of, hmac, type MacAlgorithm } from "./mac.ts";
import {
  anySame,
  type HeaderOf,
  newStandardSecret,
  standardSecretBytes,
  verifyStandard,
  wholeSeconds,
} from "./standardWebhooks.ts";

/** A request as its sender signed it: the body to the byte. */
export type Signed = { header: HeaderOf; body: Uint8Array };

/** What a sender's id is worth: a signed one cannot be replaced by whoever repeats the request. */
export type SenderId = { id: string; signed: boolean };

type Scheme = {
  /** Whether the request was signed with one of the secrets, and lately where that is signed too. */
  verify: (secrets: readonly string[], request: Signed, options: VerifyOptions) => Promise<boolean>;
  /** The sender's id of the event; null where there is none. `body` is the parsed one. */
  senderId: (header: HeaderOf, body: unknown) => SenderId | null;
  newSecret: () => string;
  isSecret: (secret: string) => boolean;
  /** Headers that tell something of the event: kept with it, as far as they are there. */
  keptHeaders: readonly string[];
  /** Whether the request only tries the address out. */
  isPing?: (header: HeaderOf) => boolean;
};

export type VerifyOptions = { nowSeconds: number; hmac: HmacSettings | null };

/** Signatures found in a request, and what is signed by them. */
type Found = {
  candidates: readonly string[];
  parts: readonly (string | Uint8Array)[];
  /** As it is signed; null where no time is. */
  timestamp: string | null;
  algorithm: MacAlgorithm;
  encode: (mac: Uint8Array) => string;
};

/** HMAC under the secret's own characters, which is what all schemes but Standard Webhooks do. */
function keyedHash(find: (request: Signed, options: VerifyOptions) => Found | null): Scheme["verify"] {
  return async (secrets, request, options) => {
    const found = find(request, options);
    if (!found || (found.timestamp !== null && !isFresh(found.timestamp, options.nowSeconds))) return false;
    const keys = secrets.map((secret) => new TextEncoder().encode(secret));
    const macs = await Promise.all(keys.map((key) => hmac(found.algorithm, key, found.parts)));
    return anySame(found.candidates, macs.map(found.encode));
  };
}

function isFresh(timestamp: string, nowSeconds: number): boolean {
  const seconds = wholeSeconds(timestamp);
  return seconds !== null && Math.abs(nowSeconds - seconds) <= limits.signatureToleranceSeconds;
}

const sha256 = { algorithm: "SHA-256", encode: hexOf } as const;

/** `X-Hub-Signature-256: sha256=HEX` over the body. */
const github = keyedHash(({ header, body }) => {
  const candidates = prefixed([header("x-hub-signature-256") ?? ""], "sha256=");
  return { candidates, parts: [body], timestamp: null, ...sha256 };
});

/** `Stripe-Signature: t=SECONDS,v1=HEX,v1=HEX` over `SECONDS.BODY`. */
const stripe = keyedHash(({ header, body }) => {
  const fields = (header("stripe-signature") ?? "").split(",").map((field) => field.trim());
  const [timestamp, ...others] = prefixed(fields, "t=");
  if (timestamp === undefined || others.length > 0) return null;
  return { candidates: prefixed(fields, "v1="), parts: [`${timestamp}.`, body], timestamp, ...sha256 };
});

/** `X-Slack-Signature: v0=HEX` over `v0:SECONDS:BODY`. */
const slack = keyedHash(({ header, body }) => {
  const timestamp = header("x-slack-request-timestamp");
  if (!timestamp) return null;
  const candidates = prefixed([header("x-slack-signature") ?? ""], "v0=");
  return { candidates, parts: [`v0:${timestamp}:`, body], timestamp, ...sha256 };
});

const algorithms = { sha1: "SHA-1", sha256: "SHA-256", sha512: "SHA-512" } as const;
const encodings = { hex: hexOf, base64: base64Of };

/** A header of the sender's choice over the body; it may hold several, parted by commas or spaces. */
const chosen = keyedHash(({ header, body }, { hmac: settings }) => {
  if (!settings) return null;
  const given = header(settings.header) ?? "";
  // A prefix may hold a space or a comma itself.
  const parts = [given, ...given.split(",").map((part) => part.trim()), ...given.split(/[\s,]+/)];
  const texts = prefixed(parts, settings.prefix);
  // Hexadecimal digits mean the same in either case, and senders write both.
  const candidates = settings.encoding === "hex" ? texts.map((text) => text.toLowerCase()) : texts;
  const { [settings.encoding]: encode } = encodings;
  return { candidates, parts: [body], timestamp: null, algorithm: algorithms[settings.algorithm], encode };
});

const standard: Scheme = {
  verify: (secrets, { header, body }, { nowSeconds }) => verifyStandard(secrets, header, body, nowSeconds),
  senderId: (header) => identified(header("webhook-id"), true),
  newSecret: newStandardSecret,
  isSecret: (secret) => (standardSecretBytes(secret)?.length ?? 0) >= 16,
  keptHeaders: ["webhook-id", "webhook-timestamp"],
};

const opaque = {
  newSecret: () => hexOf(crypto.getRandomValues(new Uint8Array(32))),
  isSecret: (secret: string) => /^[\x21-\x7e]{8,}$/.test(secret),
};

/** A sender's scheme: how it signs, and whether the id that it gives an event is signed with it. */
export const schemes: Record<TriggerScheme, Scheme> = {
  standard,
  // OpenAI signs as Standard Webhooks does.
  openai: standard,
  github: {
    ...opaque,
    verify: github,
    // Over the body alone: the header may be another on a repeated request.
    senderId: (header) => identified(header("x-github-delivery"), false),
    keptHeaders: ["x-github-event", "x-github-delivery"],
    isPing: (header) => header("x-github-event") === "ping",
  },
  stripe: {
    ...opaque,
    verify: stripe,
    senderId: (_, body) => identified(isObject(body) ? body["id"] : null, true),
    keptHeaders: [],
  },
  slack: {
    ...opaque,
    verify: slack,
    // Events have one; commands and interactions have none, but no two of them have the same body.
    senderId: (_, body) => identified(isObject(body) ? body["event_id"] : null, true),
    keptHeaders: ["x-slack-retry-num"],
  },
  // The senders of these name their events where the trigger says.
  hmac: { ...opaque, verify: chosen, senderId: () => null, keptHeaders: [] },
  bearer: {
    ...opaque,
    async verify(secrets, { header }) {
      const [, token] = /^bearer +(\S+)$/i.exec(header("authorization") ?? "") ?? [];
      if (token === undefined) return false;
      const digest = await sha256Hex(token);
      const expected = await Promise.all(secrets.map(sha256Hex));
      return anySame([digest], expected);
    },
    senderId: () => null,
    keptHeaders: [],
  },
};

/** An id as text; null for what cannot be one. */
export function identified(id: unknown, signed: boolean): SenderId | null {
  return typeof id === "string" && id !== "" ? { id, signed } : null;
}

/** What Slack asks an address before it sends anything there, and wants back; null for all else. */
export function slackChallenge(body: unknown): string | null {
  if (!isObject(body) || body["type"] !== "url_verification") return null;
  return typeof body["challenge"] === "string" ? body["challenge"] : null;
}

function prefixed(texts: readonly string[], prefix: string): string[] {
  return texts.filter((text) => text.startsWith(prefix)).map((text) => text.slice(prefix.length));
}
