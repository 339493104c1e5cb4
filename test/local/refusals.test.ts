import { once } from "node:events";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { expect, it } from "vitest";
import { projectRoot } from "../../src/local/project.ts";
import { temporaryFolder } from "./folder.ts";
import { startCommand } from "./processes.ts";
import { newState } from "./state.ts";

/** What a start that must fail printed, without the line that every start begins with. */
async function refusal(env: Record<string, string>): Promise<string> {
  await using command = startCommand("node", ["src/local/start.mjs"], { env });
  expect(await command.ended).toBe(1);
  expect(await command.alive()).toEqual([]);
  return command.output().replace("Starting weir …\n", "");
}

it("names the port when it is taken, in one line, and leaves no process", async () => {
  await using state = await newState();
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address() as AddressInfo;
  expect(await refusal({ ...state.env, PORT: String(port) })).toBe(
    `Port ${port} is taken: stop what uses it, or choose another with PORT=…\n`,
  );
  holder.close();
});

it("names the state folder when it cannot be written, in one line", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "file");
  await writeFile(file, "");
  const inside = join(file, "state");
  expect(await refusal({ WEIR_STATE_DIR: inside })).toBe(
    `The state folder ${inside} cannot be written (ENOTDIR): choose another with WEIR_STATE_DIR=…\n`,
  );
});

it.each(["eighty", "70000", "-1"])("refuses the port %s in one line", async (port) => {
  await using state = await newState();
  expect(await refusal({ ...state.env, PORT: port })).toBe(
    `PORT must be a number from 0 to 65535, not ${JSON.stringify(port)}.\n`,
  );
});

it.each([
  ["UPSTREAM_BASE_URL", { UPSTREAM_BASE_URL: "nope" }],
  ["UPSTREAM_IDLE_TIMEOUT_MS", { UPSTREAM_IDLE_TIMEOUT_MS: "abc" }],
  ["FIRST_EVENT_HOLD_MS", { FIRST_EVENT_HOLD_MS: "0" }],
  ["SIMULATOR", { SIMULATOR: "maybe" }],
  ["UPSTREAM_BASE_URL", { SIMULATOR: "off" }],
])("names %s in one line when the Worker cannot run with %j", async (name, variables: Record<string, string>) => {
  await using state = await newState();
  const said = await refusal({ ...state.env, ...variables });
  expect(said).toMatch(new RegExp(`^${name}: .+\n$`));
});

it("gives each bad variable a line of its own", async () => {
  await using state = await newState();
  const said = await refusal({ ...state.env, UPSTREAM_BASE_URL: "nope", UPSTREAM_TOTAL_TIMEOUT_MS: "-1" });
  expect(said).toMatch(/^UPSTREAM_BASE_URL: .+\nUPSTREAM_TOTAL_TIMEOUT_MS: .+\n$/);
});

it("refuses arguments, as it takes none", async () => {
  await using command = startCommand("node", ["src/local/start.mjs", "--port=1"]);
  expect(await command.ended).toBe(1);
  expect(command.output()).toBe("npm start takes no arguments, only variables of the environment: not --port=1.\n");
});

const scripts = ["start", "bootstrap", "deploy", "migrations:check"];

it.each(scripts)("says in one line what to run when npm run %s finds no dependencies", async (script) => {
  await using copy = await temporaryFolder();
  await mkdir(join(copy.path, "src/local"), { recursive: true });
  for (const file of ["package.json", "src/local/canExec.mjs", "src/local/start.mjs"])
    await copyFile(join(projectRoot, file), join(copy.path, file));
  await using command = startCommand("npm", ["run", "--silent", script], { cwd: copy.path });
  expect(await command.ended).toBe(1);
  expect(command.output()).toBe("Dependencies are missing: run npm ci first.\n");
});
