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

it("says in one line what to run when the dependencies are missing", async () => {
  await using copy = await temporaryFolder();
  await mkdir(join(copy.path, "src/local"), { recursive: true });
  await copyFile(join(projectRoot, "src/local/start.mjs"), join(copy.path, "src/local/start.mjs"));
  await using command = startCommand("node", ["src/local/start.mjs"], { cwd: copy.path });
  expect(await command.ended).toBe(1);
  expect(command.output()).toBe("Dependencies are missing: run npm ci first.\n");
});
