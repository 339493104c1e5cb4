import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { noSecretBox, type SecretPlace, secretBox } from "../../src/core/secretBox.ts";

const newKey = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))));
const box = secretBox(newKey());
const place: SecretPlace = { projectId: "prj_1", recordId: "ups_1", field: "apiKey" };
const anyText = fc.string({ unit: "binary", maxLength: 200 });
const unreadable = { code: "unavailable", message: expect.stringContaining("ENCRYPTION_KEY") };

describe("a sealed secret", () => {
  it("opens to the same text, whatever the text", async () => {
    await fc.assert(
      fc.asyncProperty(anyText, fc.string(), async (text, field) => {
        const sealed = await box.seal(text, { ...place, field });
        expect(sealed).toMatch(/^v1\.[A-Za-z0-9_-]{38,}$/);
        expect(await box.open(sealed, { ...place, field })).toBe(text);
      }),
    );
  });

  it("does not open once any character is another", async () => {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    await fc.assert(
      fc.asyncProperty(anyText, fc.nat(), fc.constantFrom(...alphabet), async (text, at, character) => {
        const sealed = await box.seal(text, place);
        const index = at % sealed.length;
        fc.pre(sealed[index] !== character);
        const changed = sealed.slice(0, index) + character + sealed.slice(index + 1);
        await expect(box.open(changed, place)).rejects.toMatchObject(unreadable);
      }),
    );
  });

  it("has one form only: no last character stands for another", async () => {
    const sealed = await box.seal("ab", place);
    const last = sealed.slice(-1);
    for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
      if (character !== last)
        await expect(box.open(sealed.slice(0, -1) + character, place)).rejects.toMatchObject(unreadable);
    await expect(box.open(`${sealed}=`, place)).rejects.toMatchObject(unreadable);
  });

  it("does not open when cut, doubled, empty or no secret at all", async () => {
    const sealed = await box.seal("secret", place);
    for (let length = 0; length < sealed.length; length++)
      await expect(box.open(sealed.slice(0, length), place)).rejects.toMatchObject(unreadable);
    for (const text of [sealed + sealed, sealed.replace("v1.", "v2."), "secret", "v1.ü"])
      await expect(box.open(text, place)).rejects.toMatchObject(unreadable);
  });

  it("opens in its own project, record and field alone", async () => {
    const part = fc.string({ maxLength: 8 });
    const anyPlace = fc.record({ projectId: part, recordId: part, field: part });
    await fc.assert(
      fc.asyncProperty(anyPlace, anyPlace, async (mine, other) => {
        fc.pre(JSON.stringify(mine) !== JSON.stringify(other));
        await expect(box.open(await box.seal("secret", mine), other)).rejects.toMatchObject(unreadable);
      }),
    );
    // The parts are told apart, not only their concatenation.
    const sealed = await box.seal("secret", { projectId: "ab", recordId: "c", field: "d" });
    await expect(box.open(sealed, { projectId: "a", recordId: "bc", field: "d" })).rejects.toMatchObject(unreadable);
  });

  it("does not open under another key", async () => {
    await expect(secretBox(newKey()).open(await box.seal("secret", place), place)).rejects.toMatchObject(unreadable);
  });

  it("is never twice the same and begins with a nonce of its own", async () => {
    const sealed = await Promise.all(Array.from({ length: 200 }, () => box.seal("secret", place)));
    // 12 bytes are 16 characters.
    expect(new Set(sealed.map((text) => text.slice(3, 19))).size).toBe(200);
  });
});

it("names the missing ENCRYPTION_KEY where there is none", async () => {
  await expect(noSecretBox.seal("secret", place)).rejects.toMatchObject(unreadable);
  await expect(noSecretBox.open("v1.x", place)).rejects.toMatchObject(unreadable);
});
