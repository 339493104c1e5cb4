import { readFile } from "node:fs/promises";
import { expect, it, vi } from "vitest";
import { startCommand } from "../local/processes.ts";

const torture = "test/torture/main.ts";
/** Runs of one seed differ by the machine's clock only, so that a failure here can be looked at again. */
const seed = "20260401";

it("keeps every promise while the runtime is killed again and again", { timeout: 200_000 }, async () => {
  await using command = startCommand("node", [torture, "--short", "--seed", seed]);
  expect(await command.ended, command.output()).toBe(0);
  expect(command.output()).toContain("Every promise was kept.");
  expect(command.output()).toMatch(/^kills 5,/m);
  expect(await command.alive()).toEqual([]);
});

it("leaves no process when it is stopped midway", async () => {
  await using command = startCommand("node", [torture, "--short", "--jobs", "20"]);
  const runs = async () => {
    const lines = (await command.alive()).map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""));
    return (await Promise.all(lines)).some((line) => line.includes("workerd\0serve"));
  };
  await vi.waitUntil(runs, 30_000);
  command.kill("SIGINT");
  expect(await command.ended).toBe(1);
  expect(command.output()).toContain("Stopped.");
  expect(await command.alive()).toEqual([]);
});

it("says how it is used", async () => {
  await using command = startCommand("node", [torture, "--kills", "many"]);
  expect(await command.ended).toBe(1);
  expect(command.output()).toContain("--kills must be a whole number.");
  expect(command.output()).toContain("--seed N");
});
