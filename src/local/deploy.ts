import { commandOptions } from "./arguments.ts";
import { measureBundle } from "./bundle.ts";
import { readWorkerConfig, unsetDatabaseId } from "./config.ts";
import { deploy } from "./deploySteps.ts";
import { projectRoot, runMain } from "./project.ts";
import { runWrangler } from "./wrangler.ts";

const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;

/** What a deployment would do, found out offline and without touching anything. */
async function dryRun(): Promise<void> {
  const { name, databaseName, databaseId } = await readWorkerConfig();
  const { bytes, gzipBytes } = await measureBundle();
  const database = databaseId === unsetDatabaseId ? "would be created" : `has the id ${databaseId}`;
  console.log(`wrangler.toml is valid: Worker ${name}; the D1 database ${databaseName} ${database}.`);
  console.log(`Bundle: ${kib(bytes)}, gzip ${kib(gzipBytes)}.`);
  console.log("Dry run: nothing was created, migrated or deployed.");
}

await runMain(async () => {
  const options = commandOptions("npm run deploy [-- --dry-run]", { "dry-run": { type: "boolean", default: false } });
  if (options["dry-run"]) return dryRun();
  await deploy({ root: projectRoot, run: runWrangler, log: console.log });
});
