import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { readWorkerConfig, unsetDatabaseId, type WorkerConfig } from "./config.ts";
import { StartError } from "./project.ts";
import type { RunWrangler } from "./wrangler.ts";

const Databases = z.array(z.looseObject({ name: z.string(), uuid: z.string() }));

export type DeploySteps = { root: string; run: RunWrangler; log: (line: string) => void };

/** Creates what is missing, migrates the deployed database, then deploys. May be repeated after a failure at any step. */
export async function deploy({ root, run, log }: DeploySteps): Promise<void> {
  const config = await readWorkerConfig(root);
  if (config.databaseId === unsetDatabaseId) {
    const id = (await findDatabase(config, root, run)) ?? (await createDatabase(config, root, run, log));
    await writeDatabaseId(root, id);
    log(`Wrote the id of database ${config.databaseName} into wrangler.toml: commit it.`);
  }
  await run(["d1", "migrations", "apply", config.databaseName, "--remote"], { cwd: root, interactive: true });
  await run(["deploy"], { cwd: root, interactive: true });
}

/** An earlier try may have created the database without its id having been kept. */
async function findDatabase({ databaseName }: WorkerConfig, root: string, run: RunWrangler): Promise<string | null> {
  const databases = Databases.parse(JSON.parse(await run(["d1", "list", "--json"], { cwd: root })));
  return databases.find(({ name }) => name === databaseName)?.uuid ?? null;
}

async function createDatabase(
  config: WorkerConfig,
  root: string,
  run: RunWrangler,
  log: (line: string) => void,
): Promise<string> {
  log(`Creating the D1 database ${config.databaseName} …`);
  await run(["d1", "create", config.databaseName], { cwd: root });
  const id = await findDatabase(config, root, run);
  if (!id) throw new StartError(`The database ${config.databaseName} was created but is not listed: try again.`);
  return id;
}

async function writeDatabaseId(root: string, id: string): Promise<void> {
  const path = join(root, "wrangler.toml");
  const text = await readFile(path, "utf8");
  await writeFile(path, text.replace(`database_id = "${unsetDatabaseId}"`, `database_id = "${id}"`));
  if ((await readWorkerConfig(root)).databaseId !== id)
    throw new StartError(`wrangler.toml could not be changed: set database_id = "${id}" for the binding DB by hand.`);
}
