import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { runWrangler } from "./wrangler.ts";

/** Builds the bundle that a deployment uploads, offline and outside the project, and measures it, bytes. */
export async function measureBundle(): Promise<{ bytes: number; gzipBytes: number }> {
  const folder = await mkdtemp(join(tmpdir(), "weir-bundle-"));
  try {
    await runWrangler(["deploy", "--dry-run", "--outdir", folder]);
    const names = (await readdir(folder)).filter((name) => !name.endsWith(".map") && name !== "README.md");
    const files = await Promise.all(names.map((name) => readFile(join(folder, name))));
    return {
      bytes: files.reduce((sum, file) => sum + file.byteLength, 0),
      gzipBytes: files.reduce((sum, file) => sum + gzipSync(file).byteLength, 0),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
