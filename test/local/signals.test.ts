import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "./folder.ts";
import { type Command, startCommand } from "./processes.ts";
import { newState } from "./state.ts";

const ready = "Ctrl-C stops everything.";
const lookMs = 5;

/** Looks again and again until the condition holds; the test's own timeout bounds it. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, lookMs));
}

const none = (command: Command) => until(async () => (await command.alive()).length === 0);

/** Whether one of the command's processes was started with this word. */
async function runs(command: Command, word: string): Promise<boolean> {
  const lines = await Promise.all(
    (await command.alive()).map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")),
  );
  return lines.some((line) => line.includes(word));
}

describe("a start that serves", () => {
  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("ends every process and exits 0 on %s", async (signal) => {
    await using state = await newState();
    await using command = startCommand("node", ["src/local/start.mjs"], { env: state.env });
    await command.says(ready);
    expect(await runs(command, "workerd")).toBe(true);
    command.kill(signal);
    expect(await command.ended).toBe(0);
    expect(command.output().trimEnd().endsWith("Stopped.")).toBe(true);
    expect(await command.alive()).toEqual([]);
  });

  it("ends cleanly when the terminal sends SIGINT to the whole group", async () => {
    await using state = await newState();
    await using command = startCommand("node", ["src/local/start.mjs"], { env: state.env });
    await command.says(ready);
    process.kill(-command.pid, "SIGINT");
    expect(await command.ended).toBe(0);
    expect(command.output().trimEnd().endsWith("Stopped.")).toBe(true);
    expect(await command.alive()).toEqual([]);
  });

  it.each(["SIGINT", "SIGTERM"] as const)("takes a %s that reaches both npm and it for one", async (signal) => {
    await using state = await newState();
    await using command = startCommand("npm", ["start"], { env: state.env });
    await command.says(ready);
    process.kill(-command.pid, signal);
    await command.ended;
    await none(command);
    expect(command.output().split("Stopped.")).toHaveLength(2);
  });

  it.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)("leaves no process when npm alone gets %s", async (signal) => {
    await using state = await newState();
    await using command = startCommand("npm", ["start"], { env: state.env });
    await command.says(ready);
    command.kill(signal);
    await command.ended;
    if (signal !== "SIGKILL") expect(command.output().trimEnd().endsWith("Stopped.")).toBe(true);
    await none(command);
  });

  it("takes workerd along when it is killed outright", async () => {
    await using state = await newState();
    await using command = startCommand("node", ["src/local/start.mjs"], { env: state.env });
    await command.says(ready);
    expect(await runs(command, "workerd")).toBe(true);
    command.kill("SIGKILL");
    await none(command);
  });
});

describe("a start that is interrupted midway", () => {
  it("leaves no process while the bundle is being built", async () => {
    // A folder of its own has no bundle yet.
    await using state = await temporaryFolder();
    await using command = startCommand("node", ["src/local/start.mjs"], {
      env: { WEIR_STATE_DIR: state.path, PORT: "0" },
    });
    await until(() => runs(command, "wrangler-dist"));
    command.kill("SIGINT");
    expect(await command.ended).toBe(0);
    expect(await command.alive()).toEqual([]);
  });

  it("leaves no process while the runtime is starting", async () => {
    await using state = await newState();
    await using command = startCommand("node", ["src/local/start.mjs"], { env: state.env });
    await until(() => runs(command, "workerd"));
    command.kill("SIGTERM");
    expect(await command.ended).toBe(0);
    expect(await command.alive()).toEqual([]);
  });

  it("leaves no process during the first completion, and the next start takes it up", async () => {
    await using state = await newState();
    await using command = startCommand("node", ["src/local/start.mjs"], { env: state.env });
    await command.says("First completion");
    command.kill("SIGTERM");
    expect(await command.ended).toBe(0);
    expect(await command.alive()).toEqual([]);
    await using again = startCommand("node", ["src/local/start.mjs"], { env: state.env });
    await again.says(ready);
  });
});
