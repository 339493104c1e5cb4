import { randomBytes, randomUUID } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { StartError } from "./project.ts";

const keyBytes = 32;

/**
 * The ENCRYPTION_KEY of a state folder: made once, readable by its owner alone, and used again ever after, as what it
 * has encrypted lies in the same folder. Throws a StartError for a file that holds no key.
 */
export async function localEncryptionKey(stateDir: string): Promise<string> {
  const path = join(stateDir, "encryption.key");
  const fresh = join(stateDir, `.encryption-${randomUUID()}.key`);
  await writeFile(fresh, `${randomBytes(keyBytes).toString("base64")}\n`, { mode: 0o600 });
  try {
    // Whole or not at all, and never over one that is there.
    await link(fresh, path);
  } catch (thrown) {
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "EEXIST")) throw thrown;
  } finally {
    await rm(fresh, { force: true });
  }
  const key = (await readFile(path, "utf8")).trim();
  if (Buffer.from(key, "base64").length === keyBytes) return key;
  throw new StartError(
    `${path} holds no encryption key (${keyBytes} bytes in base64). Without it the keys of upstreams are lost: remove the file to make a new one, then give them again.`,
  );
}
