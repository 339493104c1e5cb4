import { SavedVersion } from "../contract/templates.ts";
import { keyDigest } from "../core/keyFormat.ts";
import { CallError, call, type Target } from "./api.ts";
import { newKey, projectStatement } from "./firstProject.ts";
import type { LocalDatabase } from "./runtime.ts";
import { sampleTemplates } from "./samples.ts";
import type { LocalFile } from "./state.ts";

export type LocalKeys = Pick<LocalFile, "secretKey" | "publishableKey">;

/** The project that a server on this machine works with. */
export const localProject = "default";

/** Whether the keys of an earlier start still open this database. */
export async function keysAreValid(database: LocalDatabase, keys: LocalKeys): Promise<boolean> {
  const digests = await Promise.all([keyDigest(keys.secretKey), keyDigest(keys.publishableKey)]);
  const valid = await database
    .prepare(
      `SELECT count(*) AS n FROM keys
WHERE digest IN (?, ?) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)`,
    )
    .bind(...digests, Date.now())
    .first<number>("n");
  return valid === 2;
}

/** Makes the project if it is missing, and a new pair of keys for it. */
export async function makeKeys(database: LocalDatabase): Promise<LocalKeys> {
  const secret = await newKey(localProject, "secret", "local");
  const publishable = await newKey(localProject, "publishable", "local, for browsers");
  const statements = [projectStatement(localProject), secret.statement, publishable.statement];
  await database.batch(statements.map(({ sql, params }) => database.prepare(sql).bind(...params)));
  return { secretKey: secret.secret, publishableKey: publishable.secret };
}

/** Saves the sample templates through the running server; those that are there already stay as they are. */
export async function saveSamples(target: Target): Promise<void> {
  for (const sample of sampleTemplates) {
    try {
      await call(target, { path: "templates.create", type: "mutation", output: SavedVersion }, sample);
    } catch (thrown) {
      if (!(thrown instanceof CallError && thrown.code === "conflict")) throw thrown;
    }
  }
}
