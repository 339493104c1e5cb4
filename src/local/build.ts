import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { readWorkerConfig, WorkerConfig } from "./config.ts";
import { projectRoot } from "./project.ts";
import { runWrangler } from "./wrangler.ts";

export type BuiltWorker = {
  /** The bundle that a deployment would upload. */
  code: string;
  /** Where it lies, for stack traces. */
  path: string;
  config: WorkerConfig;
};

/** Builds left by earlier sources are kept this long, ms: another process may be reading one. */
const keepBuildMs = 3_600_000;

/**
 * Bundles the Worker with wrangler, as a deployment does, into `buildDir/DIGEST`; a bundle of the same sources is used
 * again, which saves about two seconds. Safe to call from several processes at once.
 */
export async function buildWorker(buildDir: string, signal?: AbortSignal): Promise<BuiltWorker> {
  const target = join(buildDir, await sourceDigest());
  const known = await readBuild(target);
  if (known) return known;

  const fresh = join(buildDir, `new-${randomUUID()}`);
  try {
    const [config] = await Promise.all([
      readWorkerConfig(),
      runWrangler(["deploy", "--dry-run", "--outdir", fresh], { signal }),
    ]);
    signal?.throwIfAborted();
    await writeFile(join(fresh, "config.json"), JSON.stringify(config));
    // A rename is atomic; when another process was faster, its build of the same sources is as good.
    await rename(fresh, target).catch(() => {});
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  await forgetOldBuilds(buildDir, target);
  const built = await readBuild(target);
  if (!built) throw new Error(`the build left no bundle in ${target}`);
  return built;
}

async function readBuild(folder: string): Promise<BuiltWorker | null> {
  const path = join(folder, "index.js");
  try {
    const [code, config] = await Promise.all([readFile(path, "utf8"), readFile(join(folder, "config.json"), "utf8")]);
    return { code, path, config: WorkerConfig.parse(JSON.parse(config)) };
  } catch {
    return null;
  }
}

/** Everything the bundle is made of: the sources (but for this folder, which is no part of it) and the two files that steer it. */
async function sourceDigest(): Promise<string> {
  const entries = await readdir(join(projectRoot, "src"), { recursive: true, withFileTypes: true });
  const sources = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(projectRoot, join(entry.parentPath, entry.name)))
    .filter((path) => !path.startsWith(join("src", "local")));
  const digest = createHash("sha256");
  for (const path of [...sources.sort(), "package-lock.json", "wrangler.toml"]) {
    const content = await readFile(join(projectRoot, path));
    digest.update(`${path}\0${content.byteLength}\0`).update(content);
  }
  return digest.digest("hex").slice(0, 32);
}

async function forgetOldBuilds(buildDir: string, current: string): Promise<void> {
  for (const name of await readdir(buildDir)) {
    const path = join(buildDir, name);
    const age = await stat(path).then(
      (found) => Date.now() - found.mtimeMs,
      () => 0,
    );
    if (path !== current && age > keepBuildMs) await rm(path, { recursive: true, force: true });
  }
}

/** Makes the folder for builds; apart, so that its failure can be told from the build's. */
export async function makeBuildDir(buildDir: string): Promise<void> {
  await mkdir(buildDir, { recursive: true });
}
