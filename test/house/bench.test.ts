import { readFile } from "node:fs/promises";
import { expect, it, vi } from "vitest";
import { type Command, startCommand } from "../local/processes.ts";

const bench = ["test/bench/main.ts", "--short", "--only"];

it("runs a scenario to its end, shows and writes its figures, and leaves no process", async () => {
  await using command = startCommand("node", [...bench, "disconnect"]);
  expect(await command.ended, command.output()).toBe(0);
  expect(await command.alive()).toEqual([]);
  expect(command.output()).toMatch(/upstreams closed, count .* 200 of 200 +200 of 200 +ok/);
  const file = /Written: (\S+\.json)/.exec(command.output())?.[1] ?? "";
  const { form, sections } = JSON.parse(await readFile(file, "utf8"));
  expect(form).toBe("short");
  expect(sections).toHaveLength(1);
});

async function commandLines(command: Command): Promise<string[]> {
  return Promise.all((await command.alive()).map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
}

it("leaves no process when it is stopped midway", async () => {
  await using command = startCommand("node", [...bench, "backpressure"]);
  await vi.waitUntil(async () => (await commandLines(command)).some((line) => line.includes("workerd\0serve")), 30_000);
  command.kill("SIGINT");
  expect(await command.ended).toBe(1);
  expect(command.output()).toContain("Stopped.");
  expect(await command.alive()).toEqual([]);
});

it("names its scenarios when it is asked for an unknown one", async () => {
  await using command = startCommand("node", [...bench, "speed"]);
  expect(await command.ended).toBe(1);
  expect(command.output()).toContain("--only paced,burst,nonstream,disconnect,backpressure,log,jobs,hooks");
});
