import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { newKeySecret } from "../../src/core/keyFormat.ts";
import { callWeir, completion, scriptUpstream } from "../support/call.ts";
import { meteredD1 } from "../support/meteredD1.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeAll(async () => {
  project = await insertTestProject();
});

const requests = [
  ["/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "x" }] }],
  ["/v1/models", undefined],
  ["/trpc/runs.list?input=%7B%7D", undefined],
  ["/trpc/completions.create", { model: "m", messages: [{ role: "user", content: "x" }] }],
  ["/trpc/keys.create", { name: "k", kind: "secret", scopes: ["runs:read"] }],
] as const;

/** Presents a key at one door; how often D1 was asked, and what was answered. */
async function present(path: string, body: object | undefined, secret: string) {
  const DB = meteredD1(env.DB);
  using sent = scriptUpstream(() => completion("ok"));
  const { response } = await callWeir(path, { secret, ...(body && { body }), env: { DB } });
  expect(response.status).toBe(401);
  expect(sent).toHaveLength(0);
  const text = (await response.text()).replace(/"requestId":"[^"]*"/, "");
  expect(text).not.toContain(secret);
  return { text, lookups: DB.statements.length };
}

function wrong(secret: string): Record<string, string> {
  const other = secret.endsWith("0") ? "1" : "0";
  return {
    "with a wrong checksum": secret.slice(0, -1) + other,
    truncated: secret.slice(0, -3),
    "cut to its prefix": "weir_sk_",
    doubled: secret + secret,
    "doubled with a comma": `${secret},${secret}`,
    "of the other kind": secret.replace("_sk_", "_pk_"),
    "in capitals": secret.toUpperCase(),
  };
}

describe.each(requests)("fault 39: a bad key at %s", (path, body) => {
  it.each(Object.keys(wrong("weir_sk_")))("%s is 401 before any lookup", async (how) => {
    const { lookups } = await present(path, body, String(wrong(project.secret)[how]));
    expect(lookups).toBe(0);
  });

  it("revoked, expired and unknown are 401 in the same words as a broken one", async () => {
    const { projectId } = project.principal;
    const past = new Date(Date.now() - 1).toISOString();
    const revoked = await insertTestKey(projectId, { revokedAt: past });
    const expired = await insertTestKey(projectId, { expiresAt: past });
    const broken = await present(path, body, project.secret.slice(0, -1));
    for (const secret of [revoked.secret, expired.secret, newKeySecret("secret")]) {
      const { text, lookups } = await present(path, body, secret);
      expect(text).toBe(broken.text);
      expect(lookups).toBe(1);
    }
  });
});
