import { env } from "cloudflare:workers";
import { Scope } from "../../src/contract/scopes.ts";
import { newId } from "../../src/core/ids.ts";
import { keyDigest, keyHint, newKeySecret } from "../../src/core/keyFormat.ts";
import type { NewKey } from "../../src/core/keys.ts";
import type { KeyLimits, Principal } from "../../src/core/principal.ts";
import { database } from "../../src/store/db.ts";
import { keyStore } from "../../src/store/keys.ts";
import { projectStore } from "../../src/store/projects.ts";

export type TestKey = { secret: string; principal: Principal };

/** The limits of a key that has none. */
export function unlimited(quotaId = "key_1"): KeyLimits {
  return { quotaId, requestsPerMinute: null, key: null, project: null, projectMaxJobs: null };
}

type KeyFields = Partial<NewKey["key"]>;

/** A key of the project in the test's database; a secret key with every scope unless told otherwise. */
export async function insertTestKey(projectId: string, fields: KeyFields = {}): Promise<TestKey> {
  const made = await testKey(projectId, fields);
  await keyStore(database(env.DB)).insertKey(made.row);
  return made;
}

/** A project of its own in the test's database, with a secret key that has every scope. */
export async function insertTestProject(
  options: { keepContents?: boolean; retentionDays?: number; maxJobs?: number } = {},
): Promise<TestKey> {
  const { keepContents = true, retentionDays = null, maxJobs = null } = options;
  const id = newId("prj");
  const made = await testKey(id, {});
  await projectStore(database(env.DB)).insertProject(
    { id, name: "test", keepContents, retentionDays, maxJobs, createdAtMs: Date.now() },
    [made.row],
  );
  const limits = { ...made.principal.limits, projectMaxJobs: maxJobs };
  return { secret: made.secret, principal: { ...made.principal, keepContents, limits } };
}

async function testKey(projectId: string, fields: KeyFields): Promise<TestKey & { row: NewKey }> {
  const kind = fields.kind ?? "secret";
  const secret = newKeySecret(kind);
  const key: NewKey["key"] = {
    id: newId("key"),
    kind,
    name: "test",
    hint: keyHint(secret),
    scopes: kind === "secret" ? [...Scope.options] : ["completions:run"],
    origins: [],
    createdAt: new Date().toISOString(),
    expiresAt: null,
    revokedAt: null,
    rotatedFrom: null,
    requestsPerMinute: null,
    tokensPerDay: null,
    costPerDay: null,
    ...fields,
  };
  const { scopes, origins, requestsPerMinute, tokensPerDay: tokens, costPerDay: cost } = key;
  const budget = tokens === null && cost === null ? null : { tokens, cost };
  return {
    secret,
    principal: {
      projectId,
      keyId: key.id,
      kind,
      scopes,
      origins,
      keepContents: true,
      limits: { ...unlimited(key.id), requestsPerMinute, key: budget },
    },
    row: { projectId, key, digest: await keyDigest(secret) },
  };
}
