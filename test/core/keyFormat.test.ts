import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KeyKind } from "../../src/contract/keys.ts";
import { checkKeySecret, keyDigest, keyHint, newKeySecret } from "../../src/core/keyFormat.ts";

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
const anyKey = fc.constantFrom(...KeyKind.options).map((kind) => newKeySecret(kind));

describe("a key", () => {
  it("tells its kind by its prefix", () => {
    expect(newKeySecret("secret")).toMatch(/^weir_sk_[0-9a-z]{39}$/);
    expect(newKeySecret("publishable")).toMatch(/^weir_pk_[0-9a-z]{39}$/);
    expect(checkKeySecret(newKeySecret("secret"))).toBe("secret");
    expect(checkKeySecret(newKeySecret("publishable"))).toBe("publishable");
  });

  it("carries 160 bits that all vary", () => {
    const bodies = Array.from({ length: 400 }, () => newKeySecret("secret").slice(8, 40));
    expect(new Set(bodies).size).toBe(400);
    for (let at = 0; at < 32; at++) expect(new Set(bodies.map((body) => body[at])).size).toBeGreaterThan(24);
  });

  it("has the same checksum in every release", () => {
    // A change here would refuse every key that was ever given out.
    expect(checkKeySecret("weir_sk_10zvesv5nt0azhcy7004szsygh1hhkz618ga8x9")).toBe("secret");
  });

  it("is refused with any one character changed", () => {
    fc.assert(
      fc.property(anyKey, fc.nat(46), fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }), (key, at, other) => {
        fc.pre(key[at] !== other);
        expect(checkKeySecret(key.slice(0, at) + other + key.slice(at + 1))).toBeNull();
      }),
    );
    const key = newKeySecret("secret");
    for (let at = 0; at < key.length; at++)
      for (const other of alphabet)
        if (other !== key[at]) expect(checkKeySecret(key.slice(0, at) + other + key.slice(at + 1))).toBeNull();
  });

  it("is refused with two neighbouring characters exchanged", () => {
    fc.assert(
      fc.property(anyKey, fc.nat(45), (key, at) => {
        const swapped = key.slice(0, at) + key.charAt(at + 1) + key.charAt(at) + key.slice(at + 2);
        fc.pre(swapped !== key);
        expect(checkKeySecret(swapped)).toBeNull();
      }),
    );
  });

  it("is refused when cut, doubled, padded or in another case", () => {
    fc.assert(
      fc.property(anyKey, fc.nat(46), (key, length) => {
        expect(checkKeySecret(key.slice(0, length))).toBeNull();
        expect(checkKeySecret(key.slice(47 - length))).toBeNull();
        expect(checkKeySecret(key + key)).toBeNull();
        expect(checkKeySecret(`${key}\n`)).toBeNull();
        expect(checkKeySecret(` ${key}`)).toBeNull();
        expect(checkKeySecret(key.toUpperCase())).toBeNull();
      }),
    );
  });

  it("is never made of arbitrary text", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        expect(checkKeySecret(text)).toBeNull();
      }),
    );
  });

  it("is stored as SHA-256 and shown as a hint that gives little away", async () => {
    expect(await keyDigest("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(keyHint("weir_sk_10zvesv5nt0azhcy7004szsygh1hhkz618ga8x9")).toBe("weir_sk_10zv…a8x9");
  });
});
