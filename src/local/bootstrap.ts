import { join } from "node:path";
import { MaxJobs } from "../contract/jobs.ts";
import { CostPerDay, TokensPerDay } from "../contract/keys.ts";
import { limits } from "../contract/limits.ts";
import type { Cost } from "../contract/runs.ts";
import type { OwnedKey } from "../core/keys.ts";
import { database } from "../store/db.ts";
import { type NamedProject, projectStore } from "../store/projects.ts";
import { commandOptions } from "./arguments.ts";
import { readWorkerConfig } from "./config.ts";
import { namedProject, newSecretKey, openProjectSql } from "./firstProject.ts";
import { migrate } from "./migrate.ts";
import { runMain, StartError } from "./project.ts";
import { openRuntime } from "./runtime.ts";
import { chosenStateDir, openStateDir } from "./state.ts";
import { runWrangler } from "./wrangler.ts";

const usage =
  "npm run bootstrap -- [--remote] [--project NAME] [--no-contents] [--retention-days N] " +
  "[--tokens-per-day N] [--cost-per-day 20.50CNY] [--max-jobs N]";

/** A hundred years; more is a slip. */
const maxRetentionDays = 36_500;

/** Writes to the files that npm start uses, migrated first. */
async function writeLocally(project: NamedProject, key: OwnedKey): Promise<void> {
  const stateDir = chosenStateDir();
  await openStateDir(stateDir);
  const worker = {
    code: "export default { fetch: () => new Response(null, { status: 404 }) };",
    path: join(stateDir, "bootstrap.js"),
    config: await readWorkerConfig(),
  };
  await using runtime = await openRuntime({ worker, stateDir, port: 0, bindings: {}, log: console.error });
  await migrate(runtime.database);
  await projectStore(database(runtime.database)).openProject(project, [key]);
}

/** Writes to the deployed database; only the key's digest travels. */
async function writeRemotely(project: NamedProject, key: OwnedKey): Promise<void> {
  const { databaseName } = await readWorkerConfig();
  const command = openProjectSql(project, [key]);
  await runWrangler(["d1", "execute", databaseName, "--remote", "--yes", "--command", command]);
}

function days(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= maxRetentionDays) return number;
  throw new StartError(`--retention-days must be a whole number from 1 to ${maxRetentionDays}, not ${text}.`);
}

/** `none` takes the budget away. */
function tokens(text: string | undefined): number | null | undefined {
  if (text === undefined) return undefined;
  if (text === "none") return null;
  const parsed = TokensPerDay.safeParse(/^\d{1,15}$/.test(text) ? Number(text) : Number.NaN);
  if (parsed.success) return parsed.data;
  throw new StartError(
    `--tokens-per-day must be a whole number from 1 to ${limits.maxTokensPerDay} or none, not ${text}.`,
  );
}

/** An amount with at most six decimals and its currency's code; `none` takes the budget away. */
function cost(text: string | undefined): Cost | null | undefined {
  if (text === undefined) return undefined;
  if (text === "none") return null;
  const [, units = "", decimals = "", currency] = /^(\d{1,10})(?:\.(\d{1,6}))? ?([A-Z]{3})$/.exec(text) ?? [];
  const parsed = CostPerDay.safeParse({ micros: Number(units + decimals.padEnd(6, "0")), currency });
  if (parsed.success) return parsed.data;
  throw new StartError(`--cost-per-day must be an amount with its currency, as in 20.50CNY, or none, not ${text}.`);
}

/** `none` sets it back to the default. */
function jobs(text: string | undefined): number | null | undefined {
  if (text === undefined) return undefined;
  if (text === "none") return null;
  const parsed = MaxJobs.safeParse(/^\d{1,6}$/.test(text) ? Number(text) : Number.NaN);
  if (parsed.success) return parsed.data;
  throw new StartError(`--max-jobs must be a whole number from 1 to ${limits.maxConcurrentJobs} or none, not ${text}.`);
}

await runMain(async () => {
  const options = commandOptions(usage, {
    remote: { type: "boolean", default: false },
    project: { type: "string", default: "default" },
    "no-contents": { type: "boolean", default: false },
    "retention-days": { type: "string" },
    "tokens-per-day": { type: "string" },
    "cost-per-day": { type: "string" },
    "max-jobs": { type: "string" },
  });
  const name = options.project;
  if (name.trim() === "" || name.length > 100)
    throw new StartError("The project's name must have 1 to 100 characters.");
  const project = namedProject(name, {
    keepContents: options["no-contents"] ? false : undefined,
    retentionDays: days(options["retention-days"]),
    tokensPerDay: tokens(options["tokens-per-day"]),
    costPerDay: cost(options["cost-per-day"]),
    maxJobs: jobs(options["max-jobs"]),
  });
  const key = await newSecretKey("bootstrap");
  await (options.remote ? writeRemotely : writeLocally)(project, key.owned);
  console.log(`Secret key of project ${name}, with all scopes. It is shown this once:\n\n${key.secret}\n`);
});
