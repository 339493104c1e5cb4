import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { unsetDatabaseId } from "../../src/local/config.ts";
import { deploy } from "../../src/local/deploySteps.ts";
import { projectRoot } from "../../src/local/project.ts";
import type { RunWrangler } from "../../src/local/wrangler.ts";
import { temporaryFolder } from "./folder.ts";
import { startCommand } from "./processes.ts";

const id = "11111111-2222-3333-4444-555555555555";

/** An account in memory behind wrangler's commands; `refuses` names the command that fails. */
function account(databases: { name: string; uuid: string }[], refuses = "") {
  const commands: string[] = [];
  const run: RunWrangler = async (args) => {
    const command = args.join(" ");
    commands.push(command);
    if (command === refuses) throw new Error("refused");
    if (command.startsWith("d1 create")) databases.push({ name: args[2] ?? "", uuid: id });
    return command === "d1 list --json" ? JSON.stringify(databases) : "";
  };
  return { commands, run };
}

/** A project of its own with wrangler.toml as it is before a first deployment. */
async function undeployed() {
  const folder = await temporaryFolder();
  const toml = join(folder.path, "wrangler.toml");
  const text = await readFile(join(projectRoot, "wrangler.toml"), "utf8");
  await writeFile(toml, text.replace(/^database_id = .*$/m, `database_id = "${unsetDatabaseId}"`));
  return { ...folder, toml: () => readFile(toml, "utf8") };
}

it("creates the database, keeps its id in wrangler.toml, migrates and deploys, in this order", async () => {
  await using project = await undeployed();
  const { commands, run } = account([]);
  await deploy({ root: project.path, run, log: () => {} });
  expect(commands).toEqual([
    "d1 list --json",
    "d1 create weir",
    "d1 list --json",
    "d1 migrations apply weir --remote",
    "deploy",
  ]);
  expect(await project.toml()).toContain(`database_id = "${id}"`);
  expect(await project.toml()).not.toContain(unsetDatabaseId);
});

it("takes up a deployment that failed after the database was created", async () => {
  await using project = await undeployed();
  const databases: { name: string; uuid: string }[] = [];
  const first = account(databases, "d1 migrations apply weir --remote");
  await expect(deploy({ root: project.path, run: first.run, log: () => {} })).rejects.toThrow("refused");
  const second = account(databases);
  await deploy({ root: project.path, run: second.run, log: () => {} });
  expect(second.commands).toEqual(["d1 migrations apply weir --remote", "deploy"]);
});

it("uses a database of that name that is there already", async () => {
  await using project = await undeployed();
  const { commands, run } = account([{ name: "weir", uuid: id }]);
  await deploy({ root: project.path, run, log: () => {} });
  expect(commands.some((command) => command.startsWith("d1 create"))).toBe(false);
  expect(await project.toml()).toContain(`database_id = "${id}"`);
});

it("checks the configuration and the bundle on a dry run, and touches nothing", async () => {
  const before = await readFile(join(projectRoot, "wrangler.toml"), "utf8");
  await using command = startCommand("node", ["src/local/start.mjs", "deploy", "--dry-run"], {
    // No account, and no way out to one.
    env: { CLOUDFLARE_API_TOKEN: "", HTTPS_PROXY: "http://127.0.0.1:9", HTTP_PROXY: "http://127.0.0.1:9" },
  });
  expect(await command.ended, command.output()).toBe(0);
  expect(command.output()).toContain("wrangler.toml is valid: Worker weir");
  expect(command.output()).toMatch(/Bundle: [\d.]+ KiB, gzip [\d.]+ KiB\./);
  expect(await readFile(join(projectRoot, "wrangler.toml"), "utf8")).toBe(before);
});
