import { join } from "node:path";
import { commandOptions } from "./arguments.ts";
import { readWorkerConfig } from "./config.ts";
import { inlined, newKey, projectStatement, type Statement } from "./firstProject.ts";
import { migrate } from "./migrate.ts";
import { runMain, StartError } from "./project.ts";
import { openRuntime } from "./runtime.ts";
import { chosenStateDir, openStateDir } from "./state.ts";
import { runWrangler } from "./wrangler.ts";

const usage = "npm run bootstrap [-- --remote] [-- --project NAME]";

/** Writes to the files that npm start uses, migrated first. */
async function writeLocally(statements: Statement[]): Promise<void> {
  const stateDir = chosenStateDir();
  await openStateDir(stateDir);
  const worker = {
    code: "export default { fetch: () => new Response(null, { status: 404 }) };",
    path: join(stateDir, "bootstrap.js"),
    config: await readWorkerConfig(),
  };
  await using runtime = await openRuntime({ worker, stateDir, port: 0, bindings: {}, log: console.error });
  const { database } = runtime;
  await migrate(database);
  await database.batch(statements.map(({ sql, params }) => database.prepare(sql).bind(...params)));
}

/** Writes to the deployed database; only the key's digest travels. */
async function writeRemotely(statements: Statement[]): Promise<void> {
  const { databaseName } = await readWorkerConfig();
  const command = statements.map((statement) => `${inlined(statement)};`).join("\n");
  await runWrangler(["d1", "execute", databaseName, "--remote", "--yes", "--command", command]);
}

await runMain(async () => {
  const { remote, project } = commandOptions(usage, {
    remote: { type: "boolean", default: false },
    project: { type: "string", default: "default" },
  });
  if (project.trim() === "" || project.length > 100)
    throw new StartError("The project's name must have 1 to 100 characters.");
  const key = await newKey(project, "secret", "bootstrap");
  await (remote ? writeRemotely : writeLocally)([projectStatement(project), key.statement]);
  console.log(`Secret key of project ${project}, with all scopes. It is shown this once:\n\n${key.secret}\n`);
});
