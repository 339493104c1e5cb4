import { SavedVersion } from "../contract/templates.ts";
import { keyDigest } from "../core/keyFormat.ts";
import { database as storeOver } from "../store/db.ts";
import { keyStore } from "../store/keys.ts";
import { projectStore } from "../store/projects.ts";
import { CallError, call, type Target } from "./api.ts";
import { namedProject, newPublishableKey, newSecretKey } from "./firstProject.ts";
import type { LocalDatabase } from "./runtime.ts";
import { sampleTemplates } from "./samples.ts";
import type { LocalFile } from "./state.ts";

export type LocalKeys = Pick<LocalFile, "secretKey" | "publishableKey">;

/** The project that a server on this machine works with. */
export const localProject = "default";

/**
 * The keys of an earlier start if both still open this database, else null. The publishable one works from `origins`
 * from now on: the server's own may have changed.
 */
export async function reuseKeys(
  database: LocalDatabase,
  keys: LocalKeys | null,
  origins: readonly string[],
): Promise<LocalKeys | null> {
  if (!keys) return null;
  const db = storeOver(database);
  const { secretKey, publishableKey } = keys;
  const digest = await keyDigest(publishableKey);
  const found = [await keyStore(db).findKnownKey(await keyDigest(secretKey)), await keyStore(db).findKnownKey(digest)];
  const works = found.every(
    (key) => key && key.revokedAtMs === null && (key.expiresAtMs === null || key.expiresAtMs > Date.now()),
  );
  if (!works) return null;
  await projectStore(db).setOrigins(digest, origins);
  return { secretKey, publishableKey };
}

/** Makes the project if it is missing, and a new pair of keys for it; the publishable one works from `origins`. */
export async function makeKeys(database: LocalDatabase, origins: readonly string[]): Promise<LocalKeys> {
  const secret = await newSecretKey("local");
  const publishable = await newPublishableKey("local, for browsers", origins);
  await projectStore(storeOver(database)).openProject(namedProject(localProject), [secret.owned, publishable.owned]);
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
