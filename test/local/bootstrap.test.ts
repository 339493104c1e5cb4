import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, it, vi } from "vitest";
import { namedProject, newSecretKey, openProjectSql } from "../../src/local/firstProject.ts";
import { inlined } from "../../src/local/inlineSql.ts";
import { statementsOf } from "../../src/local/migrate.ts";
import { projectRoot } from "../../src/local/project.ts";
import { startServer } from "../../src/local/server.ts";
import { startCommand } from "./processes.ts";
import { newState } from "./state.ts";

/** Runs the command and returns the key it printed. */
async function bootstrap(env: Record<string, string>, args: string[] = []): Promise<string> {
  await using command = startCommand("node", ["src/local/start.mjs", "bootstrap", ...args], { env });
  expect(await command.ended, command.output()).toBe(0);
  expect(await command.alive()).toEqual([]);
  const keys = command.output().match(/weir_sk_\w+/g);
  expect(keys).toHaveLength(1);
  return keys?.[0] ?? "";
}

const templatesSeen = (url: string, key: string) =>
  fetch(`${url}/trpc/templates.list?input={}`, { headers: { authorization: `Bearer ${key}` } });

it("creates a project and a key that opens the server started on the same state", async () => {
  await using state = await newState();
  const key = await bootstrap(state.env, ["--project", "o'neil; DROP TABLE keys"]);
  await using server = await startServer({ stateDir: state.path });
  const answer = await templatesSeen(server.url, key);
  expect(answer.status).toBe(200);
  // Its project is not the server's own: the samples are not there.
  expect(JSON.parse(await answer.text()).result.data.items).toEqual([]);
  expect((await templatesSeen(server.url, key.slice(0, -1))).status).toBe(401);
});

it("adds a key to the project of the name it is given while the server runs", async () => {
  await using state = await newState();
  await using server = await startServer({ stateDir: state.path });
  const key = await bootstrap(state.env);
  const answer = await templatesSeen(server.url, key);
  expect(answer.status).toBe(200);
  expect(JSON.parse(await answer.text()).result.data.items).toHaveLength(4);
});

it("creates a project that keeps no contents", async () => {
  await using state = await newState();
  const key = await bootstrap(state.env, ["--no-contents"]);
  await using server = await startServer({ stateDir: state.path });
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const body = JSON.stringify({ model: "sim/echo", messages: [{ role: "user", content: "Hi" }] });
  const answer = await fetch(`${server.url}/v1/chat/completions`, { method: "POST", headers, body });
  expect(await answer.text()).toContain("Hi");
  const id = answer.headers.get("x-weir-run-id");
  const input = encodeURIComponent(JSON.stringify({ id }));
  await vi.waitFor(
    async () => {
      const { result } = JSON.parse(
        await (await fetch(`${server.url}/trpc/runs.get?input=${input}`, { headers })).text(),
      );
      expect(result.data).toMatchObject({ run: { status: "succeeded" }, contents: null });
    },
    { timeout: 10_000 },
  );
});

it.each(["0", "-3", "1.5", "soon", "40000"])("refuses to keep contents for %s days, in one line", async (days) => {
  await using command = startCommand("node", ["src/local/start.mjs", "bootstrap", `--retention-days=${days}`]);
  expect(await command.ended).toBe(1);
  expect(command.output()).toBe(`--retention-days must be a whole number from 1 to 36500, not ${days}.\n`);
});

it.each([
  ["--tokens-per-day", "0"],
  ["--tokens-per-day", "many"],
  ["--cost-per-day", "20"],
  ["--cost-per-day", "0CNY"],
  ["--cost-per-day", "1.0000001CNY"],
  ["--max-jobs", "0"],
  ["--max-jobs", "1e2"],
])("refuses the limit %s=%s, in one line that names both", async (option, value) => {
  await using command = startCommand("node", ["src/local/start.mjs", "bootstrap", `${option}=${value}`]);
  expect(await command.ended).toBe(1);
  expect(command.output().trim().split("\n")).toHaveLength(1);
  expect(command.output()).toMatch(new RegExp(`^${option} must be .* not ${value}\\.`));
});

it("gives a project a budget that its keys are held to", async () => {
  await using state = await newState();
  const key = await bootstrap(state.env, ["--tokens-per-day", "1", "--cost-per-day", "20.5CNY"]);
  await using server = await startServer({ stateDir: state.path });
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const body = JSON.stringify({ model: "sim/echo", messages: [{ role: "user", content: "Hi" }] });
  const ask = () => fetch(`${server.url}/v1/chat/completions`, { method: "POST", headers, body });
  expect((await ask()).status).toBe(200);
  await vi.waitFor(async () => expect((await ask()).status).toBe(429), { timeout: 10_000 });
});

it("refuses an unknown option in a line that shows the use", async () => {
  await using command = startCommand("node", ["src/local/start.mjs", "bootstrap", "--projekt", "x"], {
    cwd: projectRoot,
  });
  expect(await command.ended).toBe(1);
  expect(command.output()).toContain("--projekt");
  expect(command.output()).toContain(
    "Usage: npm run bootstrap -- [--remote] [--project NAME] [--no-contents] [--retention-days N]",
  );
});

/** A database with the migrations, reached as a command line does: by SQL as text. */
async function migrated(): Promise<DatabaseSync> {
  const database = new DatabaseSync(":memory:");
  const folder = join(projectRoot, "migrations");
  for (const name of (await readdir(folder)).filter((file) => file.endsWith(".sql")).sort())
    for (const statement of statementsOf(await readFile(join(folder, name), "utf8"))) database.exec(statement);
  return database;
}

it("makes a project once, changes only the settings it is given, and adds a key each time", async () => {
  const database = await migrated();
  const name = "o'neil?; DROP TABLE keys";
  const projects = () => database.prepare("SELECT name, keep_contents, retention_days, max_jobs FROM projects").all();
  const open = async (settings = {}) => {
    const { owned } = await newSecretKey("test");
    database.exec(openProjectSql(namedProject(name, settings), [owned]));
  };
  await open();
  expect(projects()).toEqual([{ name, keep_contents: 1, retention_days: null, max_jobs: null }]);
  await open({ retentionDays: 30 });
  await open({ keepContents: false, maxJobs: 7 });
  await open();
  expect(projects()).toEqual([{ name, keep_contents: 0, retention_days: 30, max_jobs: 7 }]);
  const keys = "SELECT count(*) AS n FROM keys JOIN projects ON projects.id = keys.project_id";
  expect(database.prepare(keys).get()).toEqual({ n: 4 });
});

it("sets, changes and takes away budgets, counting what the day had used before", async () => {
  const database = await migrated();
  const open = async (settings = {}) => {
    const { owned } = await newSecretKey("test");
    database.exec(openProjectSql(namedProject("paid", settings), [owned]));
  };
  const budget = () =>
    database.prepare("SELECT tokens_per_day, cost_per_day_micros, cost_per_day_currency FROM projects").get();
  await open();
  database.exec(`INSERT INTO usage_daily SELECT projects.id, date('now'), '', 0, value, '', 'CNY', 1, 1, 0, 0, 0, 3, 4, 0, 50, 0, 0, 0, 0, 0
    FROM projects, json_each('["one", "other"]')`);
  await open({ costPerDay: { micros: 20_500_000, currency: "CNY" } });
  await open({ tokensPerDay: 1_000 });
  expect(budget()).toEqual({ tokens_per_day: 1_000, cost_per_day_micros: 20_500_000, cost_per_day_currency: "CNY" });
  expect(database.prepare("SELECT quota_id, currency, tokens, cost_micros FROM budget_daily").all()).toEqual([
    { quota_id: "", currency: "CNY", tokens: 14, cost_micros: 100 },
  ]);
  await open({ costPerDay: null });
  expect(budget()).toEqual({ tokens_per_day: 1_000, cost_per_day_micros: null, cost_per_day_currency: null });
});

it("writes values as SQL literals that cannot end early", () => {
  expect(inlined({ sql: "SELECT ?, ?, ?", params: ["it's ? '); --", 7, null] })).toBe(
    "SELECT 'it''s ? ''); --', 7, NULL",
  );
  expect(() => inlined({ sql: "SELECT ?", params: ["a\0b"] })).toThrow("NUL");
});
