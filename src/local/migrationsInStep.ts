import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { projectRoot } from "./project.ts";

const run = promisify(execFile);

/**
 * Whether the migrations lead to the schema: generates into a copy and looks for what is new. Null when they are in
 * step, else what is missing. The project is left untouched.
 */
export async function missingMigration(root = projectRoot): Promise<string | null> {
  const copy = await mkdtemp(join(tmpdir(), "weir-migrations-"));
  try {
    await cp(join(root, "migrations"), copy, { recursive: true });
    const before = new Set(await readdir(copy));
    // The generator puts "./" before the path it is given, so an absolute one would not be found.
    const out = relative(projectRoot, copy);
    const schema = relative(projectRoot, join(root, "src/store/*chema.ts"));
    const generate = ["generate", "--dialect", "sqlite", "--schema", schema, "--out", out];
    const bin = join(projectRoot, "node_modules/drizzle-kit/bin.cjs");
    const { stdout } = await run(process.execPath, [bin, ...generate], { cwd: projectRoot });
    const added = (await readdir(copy)).filter((name) => !before.has(name));
    const sql = await Promise.all(added.map((name) => readFile(join(copy, name), "utf8")));
    if (added.length > 0) return sql.join("\n");
    // Not every answer is a file: a change it wants to ask about ends without one.
    return stdout.includes("No schema changes") ? null : stdout.trim();
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}
