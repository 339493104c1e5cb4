import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import * as z from "zod";
import { projectRoot, StartError } from "./project.ts";

/** Contents of local.json: what a client on this machine needs. */
export const LocalFile = z.object({ url: z.string(), secretKey: z.string(), publishableKey: z.string() });
export type LocalFile = z.infer<typeof LocalFile>;

/** The state folder the environment chooses: `WEIR_STATE_DIR`, else `.weir` in the project. */
export function chosenStateDir(env: NodeJS.ProcessEnv = process.env): string {
  return env["WEIR_STATE_DIR"] ? resolve(env["WEIR_STATE_DIR"]) : join(projectRoot, ".weir");
}

/** Makes the folder and proves that files can be written there; throws a StartError naming it otherwise. */
export async function openStateDir(stateDir: string): Promise<void> {
  const probe = join(stateDir, `.probe-${randomUUID()}`);
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await writeFile(probe, "");
    await rm(probe);
  } catch (thrown) {
    const why = thrown instanceof Error && "code" in thrown ? ` (${String(thrown.code)})` : "";
    throw new StartError(`The state folder ${stateDir} cannot be written${why}: choose another with WEIR_STATE_DIR=…`);
  }
}

/** Miniflare's root for persisted resources, laid out as wrangler lays out `--persist-to`. */
export const resourceDir = (stateDir: string): string => join(stateDir, "v3");

/** Null when there is none or it cannot be read as one: new keys are made then, which `warn` is told of in the second case. */
export async function readLocalFile(stateDir: string, warn: (line: string) => void): Promise<LocalFile | null> {
  const path = join(stateDir, "local.json");
  try {
    return LocalFile.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (thrown) {
    const lost = thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
    if (!lost) warn(`${path} cannot be read: new keys are made, and the old ones go on working.`);
    return null;
  }
}

/** Written whole or not at all; readable by its owner alone, since it holds keys. */
export async function writeLocalFile(stateDir: string, file: LocalFile): Promise<void> {
  const fresh = join(stateDir, `.local-${randomUUID()}.json`);
  await writeFile(fresh, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
  await rename(fresh, join(stateDir, "local.json"));
}
