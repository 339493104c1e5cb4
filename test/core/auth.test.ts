import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { authenticate, type KnownKey } from "../../src/core/auth.ts";
import { TimedCache } from "../../src/core/cache.ts";
import { AppError } from "../../src/core/errors.ts";
import { newKeySecret } from "../../src/core/keyFormat.ts";
import { database } from "../../src/store/db.ts";
import { keyStore } from "../../src/store/keys.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";

const origin = "https://app.example.com";
const store = keyStore(database(env.DB));
let project: TestKey;

const later = (ms: number) => vi.setSystemTime(Date.now() + ms);

/** An isolate of its own: its memory, and a count of its lookups. */
function isolate() {
  const findKnownKey = vi.fn(store.findKnownKey);
  const cache = new TimedCache<KnownKey>();
  return { findKnownKey, cache, check: authenticate({ findKnownKey, cache, now: Date.now }) };
}

async function refused(answer: Promise<unknown>): Promise<AppError> {
  const error = await answer.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) throw new Error("was not refused");
  return error;
}

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  project = await insertTestProject();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("authentication", () => {
  it("knows a key's project, scopes and settings", async () => {
    const quiet = await insertTestProject({ keepContents: false });
    expect(await isolate().check(project.secret, null)).toEqual(project.principal);
    expect(await isolate().check(quiet.secret, null)).toEqual({ ...quiet.principal, keepContents: false });
  });

  it("refuses what is no key by its checksum before any lookup", async () => {
    const { check, findKnownKey } = isolate();
    const key = project.secret;
    const broken = [key.slice(0, -1), key + key, key.toUpperCase(), `${key.slice(0, 20)}!${key.slice(21)}`, "", "sk-1"];
    for (const presented of [null, ...broken])
      expect((await refused(check(presented, null))).code).toBe("unauthenticated");
    expect(findKnownKey).not.toHaveBeenCalled();
  });

  it("answers unknown, revoked, expired, broken and absent keys in the same words", async () => {
    const { projectId } = project.principal;
    const past = new Date(Date.now() - 1_000).toISOString();
    const revoked = await insertTestKey(projectId, { revokedAt: past });
    const expired = await insertTestKey(projectId, { expiresAt: past });
    const presented = [newKeySecret("secret"), revoked.secret, expired.secret, "weir_sk_x", null];
    const errors = await Promise.all(presented.map((key) => refused(isolate().check(key, null))));
    expect(new Set(errors.map((error) => error.code))).toEqual(new Set(["unauthenticated"]));
    expect(new Set(errors.map((error) => error.message)).size).toBe(1);
  });

  it("looks a key up once and remembers it for less than 10 seconds", async () => {
    const { check, findKnownKey } = isolate();
    await check(project.secret, null);
    later(9_999);
    await check(project.secret, null);
    expect(findKnownKey).toHaveBeenCalledTimes(1);
    later(1);
    await check(project.secret, null);
    expect(findKnownKey).toHaveBeenCalledTimes(2);
  });

  it("counts a memory's age from before the lookup, so that a slow one does not stretch it", async () => {
    const { findKnownKey, cache } = isolate();
    findKnownKey.mockImplementation((digest) => {
      later(5_000);
      return store.findKnownKey(digest);
    });
    const check = authenticate({ findKnownKey, cache, now: Date.now });
    await check(project.secret, null);
    later(5_000);
    await check(project.secret, null);
    expect(findKnownKey).toHaveBeenCalledTimes(2);
  });

  it("does not remember refused keys, which would push good ones out", async () => {
    const { check, findKnownKey } = isolate();
    const unknown = newKeySecret("secret");
    await refused(check(unknown, null));
    await refused(check(unknown, null));
    expect(findKnownKey).toHaveBeenCalledTimes(2);
  });

  it("sees a remembered key expire to the millisecond", async () => {
    const { check, findKnownKey } = isolate();
    const expiresAt = new Date(Date.now() + 3_000).toISOString();
    const key = await insertTestKey(project.principal.projectId, { expiresAt });
    later(2_999);
    await check(key.secret, null);
    later(1);
    expect((await refused(check(key.secret, null))).code).toBe("unauthenticated");
    expect(findKnownKey).toHaveBeenCalledTimes(1);
  });

  it("sees a revocation made elsewhere within 10 seconds", async () => {
    const { check } = isolate();
    await check(project.secret, null);
    await store.revokeKey(project.principal.projectId, project.principal.keyId, Date.now());
    later(10_000);
    expect((await refused(check(project.secret, null))).code).toBe("unauthenticated");
  });

  it("does not trust a row that the lookup got wrong", async () => {
    const wrong = { principal: project.principal, digest: "0".repeat(64), expiresAtMs: null, revokedAtMs: null };
    const { cache } = isolate();
    const check = authenticate({ findKnownKey: async () => wrong, cache, now: Date.now });
    expect((await refused(check(project.secret, null))).code).toBe("unauthenticated");
  });

  it("is unavailable, with a time to come again, when the store fails", async () => {
    const { cache } = isolate();
    const findKnownKey = () => Promise.reject(new Error("D1_ERROR: no such thing"));
    const error = await refused(authenticate({ findKnownKey, cache, now: Date.now })(project.secret, null));
    expect(error.code).toBe("unavailable");
    expect(error.retryAfterSeconds).toBeGreaterThan(0);
    expect(error.message).not.toContain("D1");
  });

  it("serves a remembered key while the store fails", async () => {
    const { check, findKnownKey } = isolate();
    await check(project.secret, null);
    findKnownKey.mockRejectedValue(new Error("down"));
    expect(await check(project.secret, null)).toEqual(project.principal);
  });
});

describe("origins", () => {
  it("refuses a secret key from a browser and names the right kind", async () => {
    const { check } = isolate();
    for (const from of [origin, "null", "https://weir.example.com"]) {
      const error = await refused(check(project.secret, from));
      expect(error.code).toBe("forbidden");
      expect(error.message).toContain("publishable key");
    }
  });

  it("lets a publishable key work from exactly its origins", async () => {
    const { check } = isolate();
    const key = await insertTestKey(project.principal.projectId, { kind: "publishable", origins: [origin] });
    expect(await check(key.secret, origin)).toEqual(key.principal);
    const others = [
      `${origin}:8443`,
      `${origin}.evil.example`,
      "http://app.example.com",
      "null",
      `${origin}/`,
      "",
      null,
    ];
    for (const from of others) expect((await refused(check(key.secret, from))).code).toBe("forbidden");
  });

  it("keeps a publishable key without origins out of every browser", async () => {
    const { check } = isolate();
    const key = await insertTestKey(project.principal.projectId, { kind: "publishable" });
    expect(await check(key.secret, null)).toEqual(key.principal);
    for (const from of [origin, "null"]) expect((await refused(check(key.secret, from))).code).toBe("forbidden");
  });

  it("does not tell a revoked key from an unknown one by the origin", async () => {
    const revokedAt = new Date().toISOString();
    const key = await insertTestKey(project.principal.projectId, { revokedAt });
    expect((await refused(isolate().check(key.secret, origin))).code).toBe("unauthenticated");
  });
});
