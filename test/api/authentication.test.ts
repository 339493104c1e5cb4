import { beforeAll, describe, expect, it } from "vitest";
import { newKeySecret } from "../../src/core/keyFormat.ts";
import type { Env } from "../../src/env.ts";
import { callWeir } from "../support/call.ts";
import { callProcedure } from "../support/door.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";

const origin = "https://app.example.com";
/** The same answer to a key's holder at two doors. */
const doors = ["/v1/models", "/trpc/models.list"];

let project: TestKey;

const ask = async (path: string, headers: Record<string, string>, bindings: Partial<Env> = {}) =>
  (await callWeir(path, { headers, env: bindings })).response;
const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

beforeAll(async () => {
  project = await insertTestProject();
});

describe.each(doors)("%s", (path) => {
  it("answers a good key", async () => {
    expect((await ask(path, bearer(project.secret))).status).toBe(200);
  });

  it("answers 401 in one body to keys that are absent, broken, unknown, expired or revoked", async () => {
    const { projectId } = project.principal;
    const past = new Date(Date.now() - 1_000).toISOString();
    const expired = await insertTestKey(projectId, { expiresAt: past });
    const revoked = await insertTestKey(projectId, { revokedAt: past });
    const headers = [
      {},
      { authorization: "Basic d2VpcjprZXk=" },
      ...[project.secret.slice(0, -1), project.secret + project.secret, newKeySecret("secret")].map(bearer),
      ...[expired.secret, revoked.secret].map(bearer),
    ];
    const bodies = new Set<string>();
    for (const each of headers) {
      const answer = await ask(path, each as Record<string, string>);
      expect(answer.status).toBe(401);
      bodies.add((await answer.text()).replace(/"requestId":"[^"]*"/, ""));
    }
    expect(bodies.size).toBe(1);
  });

  it("takes a server-side SDK that says `cors` without an origin for what it is", async () => {
    expect((await ask(path, { ...bearer(project.secret), "sec-fetch-mode": "cors" })).status).toBe(200);
  });

  it("refuses a secret key from a browser, which may not even read why", async () => {
    const answer = await ask(path, { ...bearer(project.secret), origin });
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain("publishable key");
    expect(answer.headers.has("access-control-allow-origin")).toBe(false);
  });

  it("answers 503 with a time to come again when D1 fails, and keeps the cause to itself", async () => {
    const fresh = await insertTestKey(project.principal.projectId);
    const prepare = () => {
      throw new Error("D1_ERROR: secret-cause");
    };
    const answer = await ask(path, bearer(fresh.secret), { DB: { prepare } as unknown as D1Database });
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await answer.text()).not.toContain("secret-cause");
  });
});

it("ends a key that was in use as soon as it is revoked over the wire", async () => {
  const key = await insertTestKey(project.principal.projectId);
  expect((await ask("/v1/models", bearer(key.secret))).status).toBe(200);
  const revoke = { path: "keys.revoke", type: "mutation" } as const;
  const call = { secret: project.secret, input: { id: key.principal.keyId } };
  expect((await callProcedure(revoke, call)).status).toBe(200);
  expect((await ask("/v1/models", bearer(key.secret))).status).toBe(401);
  expect((await callProcedure(revoke, call)).status).toBe(200);
});

describe("a browser's page", () => {
  it("reads answers by a publishable key from its own origin", async () => {
    const key = await insertTestKey(project.principal.projectId, { kind: "publishable", origins: [origin] });
    const answer = await ask("/v1/models", { ...bearer(key.secret), origin });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("access-control-allow-origin")).toBe(origin);
    expect(answer.headers.get("vary")).toContain("Origin");
    const other = await ask("/v1/models", { ...bearer(key.secret), origin: "https://evil.example" });
    expect(other.status).toBe(403);
    expect(other.headers.has("access-control-allow-origin")).toBe(false);
  });

  it("gets its preflight answered at every door, without a key", async () => {
    for (const path of ["/v1/chat/completions", "/trpc/completions.create"]) {
      const headers = {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
      };
      const answer = (await callWeir(path, { method: "OPTIONS", headers })).response;
      expect(answer.status).toBe(204);
      expect(answer.headers.get("access-control-allow-headers")).toContain("authorization");
    }
  });
});
