import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { CreateKeyInput } from "../../src/contract/keys.ts";
import type { PageInput } from "../../src/contract/paging.ts";
import { Scope } from "../../src/contract/scopes.ts";
import { authenticate, type KnownKey } from "../../src/core/auth.ts";
import { TimedCache } from "../../src/core/cache.ts";
import { AppError } from "../../src/core/errors.ts";
import { keyDigest } from "../../src/core/keyFormat.ts";
import { keyUseCases } from "../../src/core/keys.ts";
import { database } from "../../src/store/db.ts";
import { keyStore } from "../../src/store/keys.ts";
import { costOf, meteredD1, planOf } from "../support/meteredD1.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";

const store = keyStore(database(env.DB));
const cache = new TimedCache<KnownKey>();
const clock = { nowMs: 0 };
const now = () => clock.nowMs;
const keys = keyUseCases({ ...store, forgetKey: (digest) => cache.forget(digest), now });
const check = authenticate({ ...store, cache, now });
const hour = 3_600_000;

let owner: TestKey;
let stranger: TestKey;

const code = (error: unknown) => (error instanceof AppError ? error.code : error);
const works = (secret: string) => check(secret, null).then(() => true, code);
const iso = (ms: number) => new Date(ms).toISOString();
const secretKey = (fields: object = {}) =>
  keys.create(owner.principal, CreateKeyInput.parse({ name: "ci", scopes: ["runs:read"], ...fields }));

beforeEach(async () => {
  clock.nowMs = Date.now();
  owner = await insertTestProject();
  stranger = await insertTestProject();
});

describe("creating a key", () => {
  it("gives a key that works, and stores nothing it could be made from", async () => {
    const { key, secret } = await secretKey();
    expect(await check(secret, null)).toMatchObject({ keyId: key.id, scopes: ["runs:read"], kind: "secret" });
    const row = await env.DB.prepare("SELECT * FROM keys WHERE id = ?").bind(key.id).first();
    expect(row?.["digest"]).toBe(await keyDigest(secret));
    expect(JSON.stringify(row)).not.toContain(secret.slice(12, 43));
  });

  it("gives a publishable key completions alone and keeps its origins", async () => {
    const input = CreateKeyInput.parse({ name: "web", kind: "publishable", origins: ["https://a.example"] });
    const { key, secret } = await keys.create(owner.principal, input);
    expect(key).toMatchObject({ kind: "publishable", scopes: ["completions:run"], origins: ["https://a.example"] });
    expect(await check(secret, "https://a.example")).toMatchObject({ keyId: key.id });
  });

  it("refuses to grant a scope that the caller lacks", async () => {
    const manager = await insertTestKey(owner.principal.projectId, { scopes: ["keys:manage", "runs:read"] });
    const create = (fields: object) =>
      keys.create(manager.principal, CreateKeyInput.parse({ name: "more", ...fields })).catch(code);
    expect(await create({ scopes: ["runs:read", "runs:write"] })).toBe("forbidden");
    expect(await create({ kind: "publishable" })).toBe("forbidden");
    expect(await create({ scopes: ["runs:read"] })).toMatchObject({ key: { scopes: ["runs:read"] } });
  });

  it("refuses an expiry that has passed and names the field", async () => {
    const late = secretKey({ expiresAt: iso(clock.nowMs) });
    await expect(late).rejects.toMatchObject({ code: "invalid_request", param: "expiresAt" });
  });

  it("reads an expiry with an offset as that moment", async () => {
    const { key } = await secretKey({ expiresAt: "2100-01-01T08:00:00+08:00" });
    expect(key.expiresAt).toBe("2100-01-01T00:00:00.000Z");
  });
});

describe("listing keys", () => {
  it("pages newest first without gap or repeat, and shows no other project's", async () => {
    for (let made = 0; made < 7; made++) await secretKey({ name: `key ${made}` });
    const seen = [];
    let cursor: string | undefined;
    do {
      const input: PageInput = { limit: 3, ...(cursor && { cursor }) };
      const page = await keys.list(owner.principal, input);
      expect(page.items.length).toBeLessThanOrEqual(3);
      seen.push(...page.items);
      cursor = page.nextCursor ?? undefined;
    } while (cursor);
    const ids = seen.map((key) => key.id);
    expect(ids).toHaveLength(8);
    expect(ids).toEqual([...ids].sort().reverse());
    expect(new Set(ids).size).toBe(8);
    expect(seen.map((key) => key.name).slice(0, 2)).toEqual(["key 6", "key 5"]);
    expect(JSON.stringify(seen)).not.toContain("digest");
    expect(ids).not.toContain(stranger.principal.keyId);
  });

  it("ends exactly at the last key", async () => {
    await secretKey();
    expect((await keys.list(owner.principal, { limit: 2 })).nextCursor).toBeNull();
  });

  it("refuses a cursor it has not given", async () => {
    for (const cursor of ["%", "abc", btoa("runs 12"), btoa("keys run_01"), btoa("keys key_' OR 1=1")])
      await expect(keys.list(owner.principal, { limit: 2, cursor })).rejects.toMatchObject({
        code: "invalid_request",
        param: "cursor",
      });
  });
});

describe("rotating a key", () => {
  it("makes a like key and lets the old one work on for the overlap", async () => {
    const old = await secretKey({ scopes: ["runs:read", "runs:write"] });
    const fresh = await keys.rotate(owner.principal, { id: old.key.id, overlapSeconds: 3600 });
    expect(fresh.key).toMatchObject({
      kind: "secret",
      name: "ci",
      scopes: ["runs:read", "runs:write"],
      origins: [],
      expiresAt: null,
      rotatedFrom: old.key.id,
    });
    expect(fresh.key.id).not.toBe(old.key.id);
    const listed = await keys.list(owner.principal, { limit: 1 });
    expect(listed.items[0]).toEqual(fresh.key);
    expect(await works(fresh.secret)).toBe(true);
    clock.nowMs += hour - 1;
    expect(await works(old.secret)).toBe(true);
    clock.nowMs += 1;
    expect(await works(old.secret)).toBe("unauthenticated");
    expect(await works(fresh.secret)).toBe(true);
  });

  it("ends the old key at once without an overlap, though it was remembered", async () => {
    const old = await secretKey();
    expect(await works(old.secret)).toBe(true);
    await keys.rotate(owner.principal, { id: old.key.id, overlapSeconds: 0 });
    expect(await works(old.secret)).toBe("unauthenticated");
  });

  it("keeps an earlier expiry of the old key, and its lifetime for the new one", async () => {
    const old = await secretKey({ expiresAt: iso(clock.nowMs + 2 * hour) });
    clock.nowMs += hour;
    const fresh = await keys.rotate(owner.principal, { id: old.key.id, overlapSeconds: 24 * 3600 });
    expect(fresh.key.expiresAt).toBe(iso(clock.nowMs + 2 * hour));
    const found = await store.findKey(owner.principal.projectId, old.key.id);
    expect(found?.key.expiresAt).toBe(old.key.expiresAt);
  });

  it("can be repeated when its answer was lost, and does not shorten the new key's life", async () => {
    const old = await secretKey();
    await keys.rotate(owner.principal, { id: old.key.id, overlapSeconds: 60 });
    const again = await keys.rotate(owner.principal, { id: old.key.id, overlapSeconds: 3600 });
    expect(again.key).toMatchObject({ expiresAt: null, rotatedFrom: old.key.id });
    const found = await store.findKey(owner.principal.projectId, old.key.id);
    expect(found?.key.expiresAt).toBe(iso(clock.nowMs + 60_000));
  });

  it("is a conflict for a revoked or expired key and makes none", async () => {
    const revoked = await secretKey();
    await keys.revoke(owner.principal, { id: revoked.key.id });
    const expired = await secretKey({ expiresAt: iso(clock.nowMs + 1) });
    clock.nowMs += 1;
    for (const { key } of [revoked, expired])
      await expect(keys.rotate(owner.principal, { id: key.id, overlapSeconds: 60 })).rejects.toMatchObject({
        code: "conflict",
      });
    expect((await keys.list(owner.principal, { limit: 10 })).items).toHaveLength(3);
  });

  it("refuses to hand out scopes that the caller lacks", async () => {
    const manager = await insertTestKey(owner.principal.projectId, { scopes: ["keys:manage"] });
    const rotated = keys.rotate(manager.principal, { id: owner.principal.keyId, overlapSeconds: 60 });
    await expect(rotated).rejects.toMatchObject({ code: "forbidden" });
    expect(await works(owner.secret)).toBe(true);
  });
});

describe("revoking a key", () => {
  it("holds at once where it was done, though the key was remembered", async () => {
    const { key, secret } = await secretKey();
    expect(await works(secret)).toBe(true);
    const revoked = await keys.revoke(owner.principal, { id: key.id });
    expect(revoked.revokedAt).toBe(iso(clock.nowMs));
    expect(await works(secret)).toBe("unauthenticated");
  });

  it("again changes nothing", async () => {
    const { key } = await secretKey();
    const first = await keys.revoke(owner.principal, { id: key.id });
    clock.nowMs += 5_000;
    expect(await keys.revoke(owner.principal, { id: key.id })).toEqual(first);
  });
});

describe("keys of another project", () => {
  it("are as if they did not exist", async () => {
    const { keyId } = owner.principal;
    const attempts = (id: string) => [
      keys.rotate(stranger.principal, { id, overlapSeconds: 0 }),
      keys.revoke(stranger.principal, { id }),
    ];
    const errors = await Promise.all(
      [...attempts(keyId), ...attempts("key_missing")].map((attempt) => attempt.catch((error: AppError) => error)),
    );
    for (const error of errors) expect(error).toMatchObject({ code: "not_found", message: "There is no such key." });
    expect(await works(owner.secret)).toBe(true);
  });

  it("cannot be ended by a rotation that names them in the store", async () => {
    const { key, secret } = await secretKey({ scopes: [...Scope.options] });
    const successor = { key: { ...key, id: "key_forged", rotatedFrom: key.id }, digest: "d", projectId: "prj_other" };
    expect(await store.rotateKey(successor, { endsAtMs: 0, nowMs: clock.nowMs })).toBe(false);
    expect(await works(secret)).toBe(true);
  });
});

describe("the store", () => {
  it("reads two rows to look a key up, however many there are", async () => {
    const insert = env.DB.prepare(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
       INSERT INTO keys (id, project_id, kind, name, digest, hint, scopes, origins, created_at, quota_id)
       SELECT 'key_bulk' || i, ?, 'secret', 'bulk', 'digest' || i, '', '[]', '[]', 0, '' FROM n`,
    );
    await insert.bind(owner.principal.projectId).run();
    const { projectId, keyId } = owner.principal;
    const metered = meteredD1(env.DB);
    const store = keyStore(database(metered));
    const rowsRead = async (call: Promise<unknown>) => {
      const from = metered.statements.length;
      await call;
      return costOf(metered, from).rowsRead;
    };
    expect(await rowsRead(store.findKnownKey("digest1500"))).toBe(2);
    expect(await rowsRead(store.findKnownKey("unknown"))).toBeLessThanOrEqual(1);
    expect(await rowsRead(store.listKeys(projectId, { beforeId: null, limit: 21 }))).toBeLessThanOrEqual(42);
    expect(await rowsRead(store.listKeys(projectId, { beforeId: "key_bulk1500", limit: 21 }))).toBeLessThanOrEqual(42);
    expect(await rowsRead(store.revokeKey(projectId, keyId, 1))).toBeLessThanOrEqual(4);
  });

  it("reads a few rows to rotate a key, however many others were rotated", async () => {
    const insert = env.DB.prepare(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
       INSERT INTO keys (id, project_id, kind, name, digest, hint, scopes, origins, created_at, rotated_from, quota_id)
       SELECT 'key_next' || i, ?, 'secret', 'bulk', 'next' || i, '', '[]', '[]', 0, 'key_bulk' || i, '' FROM n`,
    );
    await insert.bind(owner.principal.projectId).run();
    const { key } = await secretKey();
    const metered = meteredD1(env.DB);
    const useCases = keyUseCases({ ...keyStore(database(metered)), forgetKey: () => {}, now });
    for (const _ of [1, 2]) await useCases.rotate(owner.principal, { id: key.id, overlapSeconds: 60 });
    expect(costOf(metered).rowsRead).toBeLessThan(40);
  });

  it("scans no table in any statement", async () => {
    const metered = meteredD1(env.DB);
    const store = keyStore(database(metered));
    const useCases = keyUseCases({ ...store, forgetKey: () => {}, now });
    const { key, secret } = await useCases.create(
      owner.principal,
      CreateKeyInput.parse({ name: "a", scopes: ["runs:read"] }),
    );
    await store.findKnownKey(await keyDigest(secret));
    await useCases.list(owner.principal, { limit: 2 });
    await useCases.rotate(owner.principal, { id: key.id, overlapSeconds: 60 });
    await useCases.revoke(owner.principal, { id: key.id });
    expect(metered.statements.length).toBeGreaterThanOrEqual(7);
    for (const statement of metered.statements)
      expect((await planOf(env.DB, statement)).join("\n"), statement.sql).not.toContain("SCAN");
  });
});
