import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { projectRoot } from "../../src/local/project.ts";
import { temporaryFolder } from "./folder.ts";

/** A new state folder that shares the project's bundle, so that a start does not build it once more. */
export async function newState(): Promise<AsyncDisposable & { path: string; env: Record<string, string> }> {
  const folder = await temporaryFolder();
  const builds = join(projectRoot, ".weir", "build");
  await mkdir(builds, { recursive: true });
  await symlink(builds, join(folder.path, "build"));
  // PORT 0 takes a free port.
  return { ...folder, env: { WEIR_STATE_DIR: folder.path, PORT: "0" } };
}
