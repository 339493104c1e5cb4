import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HmacSettings, TriggerScheme } from "../../src/contract/triggers.ts";
import { hexOf } from "../../src/core/digest.ts";
import { base64Of, hmac } from "../../src/core/mac.ts";
import { schemes, slackChallenge } from "../../src/core/signatures.ts";
import { signStandard } from "../../src/core/standardWebhooks.ts";
import { publishedVectors } from "../support/signatureVectors.ts";

const utf8 = new TextEncoder();
const nowSeconds = 1_750_000_000;
type Headers = Record<string, string>;

type Asked = {
  secrets: readonly string[];
  headers: Headers;
  body?: string | Uint8Array;
  at?: number;
  hmac?: HmacSettings;
};

function verified(scheme: TriggerScheme, asked: Asked): Promise<boolean> {
  const { secrets, headers, body = "", at = nowSeconds } = asked;
  const bytes = typeof body === "string" ? utf8.encode(body) : body;
  const request = { header: (name: string) => headers[name] ?? null, body: bytes };
  return schemes[scheme].verify(secrets, request, { nowSeconds: at, hmac: asked.hmac ?? null });
}

const hexMac = async (secret: string, text: string | Uint8Array) =>
  hexOf(await hmac("SHA-256", utf8.encode(secret), [text]));

const settings: HmacSettings = { header: "x-sign", algorithm: "sha256", encoding: "hex", prefix: "" };

/** A request of each scheme, rightly signed. */
const signed: Record<TriggerScheme, (secret: string, body: string, at?: number) => Promise<Headers>> = {
  standard: standardHeaders,
  openai: standardHeaders,
  github: async (secret, body) => ({ "x-hub-signature-256": `sha256=${await hexMac(secret, body)}` }),
  stripe: async (secret, body, at = nowSeconds) => ({
    "stripe-signature": `t=${at},v1=${await hexMac(secret, `${at}.${body}`)}`,
  }),
  slack: async (secret, body, at = nowSeconds) => ({
    "x-slack-request-timestamp": String(at),
    "x-slack-signature": `v0=${await hexMac(secret, `v0:${at}:${body}`)}`,
  }),
  hmac: async (secret, body) => ({ "x-sign": await hexMac(secret, body) }),
  bearer: async (secret) => ({ authorization: `Bearer ${secret}` }),
};

async function standardHeaders(secret: string, body: string, at = nowSeconds): Promise<Headers> {
  const signature = await signStandard([secret], { id: "msg_1", timestamp: at, body });
  return { "webhook-id": "msg_1", "webhook-timestamp": String(at), "webhook-signature": signature };
}

const timed = ["standard", "openai", "stripe", "slack"] as const;
const all = Object.keys(schemes) as TriggerScheme[];

describe.each(publishedVectors)("the vector of $source", ({ scheme, secret, headers, body, at }) => {
  it("is taken", async () => {
    expect(await verified(scheme, { secrets: [secret], headers, body, at })).toBe(true);
  });

  it("is not taken with another secret, or one byte more", async () => {
    expect(await verified(scheme, { secrets: [schemes[scheme].newSecret()], headers, body, at })).toBe(false);
    expect(await verified(scheme, { secrets: [secret], headers, body: `${body} `, at })).toBe(false);
  });
});

describe.each(all)("the scheme %s", (scheme) => {
  const secret = schemes[scheme].newSecret();
  const ask = (asked: Omit<Asked, "hmac">) => verified(scheme, { ...asked, hmac: settings });

  it("takes either of two secrets during a rotation, and makes secrets that it takes itself", async () => {
    const other = schemes[scheme].newSecret();
    expect(schemes[scheme].isSecret(secret)).toBe(true);
    expect(other).not.toBe(secret);
    for (const one of [secret, other]) {
      const headers = await signed[scheme](one, "{}");
      expect(await ask({ secrets: [secret, other], headers, body: "{}" })).toBe(true);
      expect(await ask({ secrets: [secret, other].filter((known) => known !== one), headers, body: "{}" })).toBe(false);
    }
  });

  it("takes nothing without its headers, or with empty ones", async () => {
    const headers = await signed[scheme](secret, "{}");
    for (const name of Object.keys(headers)) {
      const { [name]: _, ...others } = headers;
      expect(await ask({ secrets: [secret], headers: others, body: "{}" })).toBe(false);
      expect(await ask({ secrets: [secret], headers: { ...headers, [name]: "" }, body: "{}" })).toBe(false);
    }
  });

  if (scheme === "bearer") return;

  it("signs any text, of which no byte may be another", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.nat(), async (body, at) => {
        // Signed as text where it is some: only these have a body that both sides can write.
        const text = new TextDecoder().decode(body);
        const bytes = utf8.encode(text);
        const headers = await signed[scheme](secret, text);
        expect(await ask({ secrets: [secret], headers, body: bytes })).toBe(true);
        const changed = bytes.slice();
        changed[at % changed.length] = ((changed[at % changed.length] ?? 0) + 1) % 256;
        expect(await ask({ secrets: [secret], headers, body: changed })).toBe(false);
      }),
      { numRuns: 50 },
    );
  });
});

describe.each(timed)("the time that %s signs", (scheme) => {
  const secret = schemes[scheme].newSecret();

  it.each([
    [-300, true],
    [-301, false],
    [300, true],
    [301, false],
  ])("%i s from now: %s", async (offset, taken) => {
    const headers = await signed[scheme](secret, "{}", nowSeconds + offset);
    expect(await verified(scheme, { secrets: [secret], headers, body: "{}" })).toBe(taken);
  });

  it.each(["123abc", "1e9", "+1750000000", "0x684EE180", "1750000000.0", " ", "NaN"])("%j is none", async (text) => {
    const entries = Object.entries(await signed[scheme](secret, "{}"));
    const headers = Object.fromEntries(entries.map(([name, value]) => [name, value.replace(String(nowSeconds), text)]));
    expect(await verified(scheme, { secrets: [secret], headers, body: "{}" })).toBe(false);
  });
});

it("of 10,000 mutated signatures none is taken", async () => {
  const body = '{"id":"evt_1","amount":100}';
  const secrets = Object.fromEntries(all.map((scheme) => [scheme, schemes[scheme].newSecret()]));
  const right = Object.fromEntries(
    await Promise.all(all.map(async (scheme) => [scheme, await signed[scheme](secrets[scheme] ?? "", body)] as const)),
  ) as Record<TriggerScheme, Headers>;
  // A header's white space around a signature, and the case of `Bearer`, are no part of it.
  const character = fc.constantFrom(..."0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/=-_.:");
  const mutation = fc.record({
    scheme: fc.constantFrom(...all),
    how: fc.constantFrom("replace", "insert", "delete", "truncate", "repeat"),
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    character,
  });
  let tried = 0;
  for (const { scheme, how, at, character: other } of fc.sample(mutation, 20_000)) {
    if (tried === 10_000) break;
    const headers = right[scheme];
    const name = Object.keys(headers).at(-1) ?? "";
    const value = headers[name] ?? "";
    // The signature itself, behind what marks it.
    const start = value.search(/[^=, ]*=?$/);
    const mac = value.slice(start);
    const place = Math.floor(at * mac.length);
    const mutated = {
      replace: mac.slice(0, place) + other + mac.slice(place + 1),
      insert: mac.slice(0, place) + other + mac.slice(place),
      delete: mac.slice(0, place) + mac.slice(place + 1),
      truncate: mac.slice(0, place),
      repeat: mac + mac,
    }[how];
    const isSame = scheme === "hmac" ? mutated.toLowerCase() === mac : mutated === mac;
    if (isSame) continue;
    tried += 1;
    const secret = secrets[scheme] ?? "";
    const asked = { secrets: [secret], body, hmac: settings };
    const taken = await verified(scheme, {
      ...asked,
      headers: { ...headers, [name]: value.slice(0, start) + mutated },
    });
    expect(taken, `${scheme}: ${how} ${mac} → ${mutated}`).toBe(false);
  }
  expect(tried).toBe(10_000);
}, 60_000);

describe("several signatures", () => {
  it("of Stripe: any `v1` counts, and no other version; one time and no two", async () => {
    const secret = "whsec_stripes-own";
    const [, right = ""] = (await signed.stripe(secret, "{}"))["stripe-signature"]?.split(",") ?? [];
    const bare = right.slice("v1=".length);
    const ask = (signature: string) =>
      verified("stripe", { secrets: [secret], headers: { "stripe-signature": signature }, body: "{}" });
    expect(await ask(`t=${nowSeconds},v1=${"0".repeat(64)},${right},v0=abc`)).toBe(true);
    for (const wrong of [`v0=${bare}`, `v1a=${bare}`, `v1=${bare}00`, `v1=${bare.toUpperCase()}`, "v1="])
      expect(await ask(`t=${nowSeconds},${wrong}`)).toBe(false);
    expect(await ask(`t=${nowSeconds},t=${nowSeconds},${right}`)).toBe(false);
    expect(await ask(right)).toBe(false);
  });

  it("of a chosen header: any of a list counts", async () => {
    const headers = await signed.hmac("some secret", "{}");
    const list = { "x-sign": `${"0".repeat(64)}, ${headers["x-sign"]}` };
    expect(await verified("hmac", { secrets: ["some secret"], headers: list, body: "{}", hmac: settings })).toBe(true);
  });
});

describe("a chosen header", () => {
  it.each([
    ["SHA-1", "sha1", "hex", "sha1="],
    ["SHA-256", "sha256", "base64", ""],
    ["SHA-512", "sha512", "hex", ""],
    ["SHA-512", "sha512", "base64", "hmac:"],
    ["SHA-256", "sha256", "base64", "HMAC "],
    ["SHA-256", "sha256", "hex", "v=1, mac="],
  ] as const)("%s as %s in %s after %j", async (algorithm, name, encoding, prefix) => {
    const mac = await hmac(algorithm, utf8.encode("some secret"), ["{}"]);
    const text = encoding === "hex" ? hexOf(mac).toUpperCase() : base64Of(mac);
    const chosen: HmacSettings = { header: "X-Sign", algorithm: name, encoding, prefix };
    const ask = (value: string) => {
      const request = { header: (asked: string) => (asked === "X-Sign" ? value : null), body: utf8.encode("{}") };
      return schemes.hmac.verify(["some secret"], request, { nowSeconds, hmac: chosen });
    };
    expect(await ask(prefix + text)).toBe(true);
    expect(await ask(`x${prefix}${text}`)).toBe(false);
    if (encoding === "base64") expect(await ask(prefix + text.replace(/=+$/, ""))).toBe(false);
  });
});

it("a secret of Standard Webhooks is `whsec_` and base64 of at least 16 bytes, of the others at least 8 characters", () => {
  for (const scheme of ["standard", "openai"] as const) {
    expect(schemes[scheme].isSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).toBe(true);
    for (const none of ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_!!", "whsec_AA=="])
      expect(schemes[scheme].isSecret(none)).toBe(false);
  }
  expect(schemes.github.isSecret("seven77")).toBe(false);
});

it("what Slack asks an address is known from what it sends there", () => {
  expect(slackChallenge({ type: "url_verification", challenge: "abc" })).toBe("abc");
  for (const other of [{ type: "event_callback", challenge: "abc" }, { type: "url_verification" }, [], null, "abc"])
    expect(slackChallenge(other)).toBeNull();
});
