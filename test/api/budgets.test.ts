import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { CreatedKey } from "../../src/contract/keys.ts";
import { limits } from "../../src/contract/limits.ts";
import { newId } from "../../src/core/ids.ts";
import { database } from "../../src/store/db.ts";
import { type NamedProject, projectStore } from "../../src/store/projects.ts";
import { type Called, callWeir, chat, completion, delta, event, events, scriptUpstream } from "../support/call.ts";
import { callProcedure } from "../support/door.ts";
import { meteredD1 } from "../support/meteredD1.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";

/** Answers of 81 tokens; the model's price makes them cost 304 micros. */
const model = "deepseek/deepseek-r1-distill-qwen-32b";
const tokens = 81;
const cost = 304;

const project = await insertTestProject();
const create = async (input: object, secret = project.secret): Promise<CreatedKey> => {
  const whole = { name: "runner", scopes: ["completions:run"], ...input };
  const answer = await callProcedure({ path: "keys.create", type: "mutation" }, { secret, input: whole });
  expect(answer.status, answer.text).toBe(200);
  return (answer.body as { result: { data: CreatedKey } }).result.data;
};
const run = async (secret: string, body: object = {}, more: Parameters<typeof chat>[2] = {}): Promise<Response> => {
  const { response, settled } = await chat(secret, { model, ...body }, more);
  await settled();
  return response;
};
const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { message: string; type: string; code: string } }).error;
/** The same request in an isolate that remembers nothing. */
const forget = () => vi.setSystemTime(Date.now() + limits.maxCacheAgeMs);
const setBudget = async ({ principal: { projectId } }: TestKey, settings: NamedProject["settings"]) => {
  const { name } = (await env.DB.prepare("SELECT name FROM projects WHERE id = ?").bind(projectId).first()) ?? {};
  // The oldest of its name, so it needs one of its own.
  const own = `${String(name)} ${projectId}`;
  await env.DB.prepare("UPDATE projects SET name = ? WHERE id = ?").bind(own, projectId).run();
  const named = { id: newId("prj"), name: own, createdAtMs: Date.now(), settings };
  await projectStore(database(env.DB)).openProject(named, []);
  forget();
};

afterEach(() => {
  vi.useRealTimers();
});

describe("tokens a day of a key", () => {
  it("are told with each answer and refused once used up, until the day's end", async () => {
    vi.setSystemTime(Date.UTC(2100, 0, 1, 20, 30));
    using calls = scriptUpstream(() => completion("counted"));
    const { key, secret } = await create({ tokensPerDay: 2 * tokens });
    expect(key.tokensPerDay).toBe(2 * tokens);
    const first = await run(secret);
    expect(Object.fromEntries(first.headers)).toMatchObject({
      "x-ratelimit-limit-tokens": "162",
      "x-ratelimit-remaining-tokens": "162",
      "x-ratelimit-reset-tokens": "3h30m0s",
    });
    expect((await run(secret)).headers.get("x-ratelimit-remaining-tokens")).toBe("81");
    const refused = await run(secret);
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe(String(3.5 * 3600));
    expect(refused.headers.get("x-ratelimit-remaining-tokens")).toBe("0");
    expect(await errorOf(refused)).toMatchObject({ type: "rate_limit_error", code: "rate_limited" });
    expect(calls).toHaveLength(2);
    vi.setSystemTime(Date.UTC(2100, 0, 2));
    expect((await run(secret)).status).toBe(200);
  });

  it("are counted for streams, and hold in an isolate that has seen none of them", async () => {
    vi.setSystemTime(Date.now());
    const usage = event({ choices: [], usage: { prompt_tokens: 30, completion_tokens: 20, total_tokens: 50 } });
    using calls = scriptUpstream(() => events(delta("a"), delta("", "stop"), usage, event("[DONE]")));
    const { secret } = await create({ tokensPerDay: 50 });
    const { response, settled } = await chat(secret, { model, stream: true });
    expect(await response.text()).toContain("[DONE]");
    await settled();
    forget();
    expect((await run(secret, { stream: true })).status).toBe(429);
    expect(calls).toHaveLength(1);
  });

  it("name limit and use on the tRPC door", async () => {
    using _calls = scriptUpstream(() => completion("counted"));
    const { secret } = await create({ tokensPerDay: 1 });
    await run(secret);
    const { response } = await callWeir("/trpc/completions.create", {
      secret,
      body: { model, messages: [{ role: "user", content: "Hi" }] },
    });
    expect(response.status).toBe(429);
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await response.json()).toMatchObject({
      error: {
        data: { weir: { code: "rate_limited", details: { budget: "key.tokensPerDay", limit: 1, used: tokens } } },
      },
    });
  });

  it("go on with the key's successor, and are no other key's", async () => {
    using _calls = scriptUpstream(() => completion("counted"));
    const { key, secret } = await create({ tokensPerDay: tokens });
    await run(secret);
    const input = { id: key.id };
    const answer = await callProcedure({ path: "keys.rotate", type: "mutation" }, { secret: project.secret, input });
    const next = (answer.body as { result: { data: CreatedKey } }).result.data;
    expect(next.key.tokensPerDay).toBe(tokens);
    expect((await run(next.secret)).status).toBe(429);
    const after = await callProcedure(
      { path: "keys.rotate", type: "mutation" },
      { secret: project.secret, input: { id: next.key.id } },
    );
    expect((await run((after.body as { result: { data: CreatedKey } }).result.data.secret)).status).toBe(429);
    expect((await run((await create({ tokensPerDay: tokens })).secret)).status).toBe(200);
  });
});

describe("cost a day of a key", () => {
  const costPerDay = { micros: cost, currency: "CNY" };

  it("is refused once spent, with what was allowed and used", async () => {
    using calls = scriptUpstream(() => completion("paid"));
    const { key, secret } = await create({ costPerDay });
    expect(key.costPerDay).toEqual(costPerDay);
    const first = await run(secret);
    expect(first.status).toBe(200);
    expect(first.headers.get("x-ratelimit-limit-tokens")).toBeNull();
    const refused = await run(secret);
    expect(refused.status).toBe(402);
    expect(await errorOf(refused)).toMatchObject({ type: "insufficient_quota", code: "budget_exceeded" });
    const input = { model, messages: [{ role: "user", content: "Hi" }] };
    const typed = await callProcedure({ path: "completions.create", type: "mutation" }, { secret, input });
    expect(typed.status).toBe(402);
    expect(typed.body).toMatchObject({
      error: { data: { weir: { details: { budget: "key.costPerDay", limit: costPerDay, used: costPerDay } } } },
    });
    expect(calls).toHaveLength(1);
  });

  it("counts only what is in its currency and has a price", async () => {
    using _calls = scriptUpstream(() => completion("paid"));
    const dollars = await create({ costPerDay: { micros: 1, currency: "USD" } });
    expect([(await run(dollars.secret)).status, (await run(dollars.secret)).status]).toEqual([200, 200]);
    const { secret } = await create({ costPerDay: { micros: 1, currency: "CNY" } });
    for (const other of ["test-model", "sim/echo", "test-model"])
      expect((await run(secret, { model: other })).status).toBe(200);
    expect((await run(secret)).status).toBe(200);
    expect((await run(secret)).status).toBe(402);
  });
});

describe("budgets of a project", () => {
  it("are shared by its keys, count what the day had used before, and are no other project's", async () => {
    vi.setSystemTime(Date.now());
    using calls = scriptUpstream(() => completion("shared"));
    const own = await insertTestProject();
    const other = await insertTestProject();
    await run(own.secret);
    await setBudget(own, { tokensPerDay: 2 * tokens });
    const { secret } = await create({}, own.secret);
    expect((await run(secret)).status).toBe(200);
    const refused = await run(own.secret);
    expect(refused.status).toBe(429);
    expect((await errorOf(refused)).message).toContain("project");
    expect((await run(other.secret)).status).toBe(200);
    expect(calls).toHaveLength(3);
    await setBudget(own, { tokensPerDay: null });
    expect((await run(own.secret)).status).toBe(200);
  });

  it("hold beside those of a key, whichever is spent first", async () => {
    vi.setSystemTime(Date.now());
    using _calls = scriptUpstream(() => completion("both"));
    const own = await insertTestProject();
    await setBudget(own, { costPerDay: { micros: cost + 1, currency: "CNY" } });
    const { secret } = await create({ tokensPerDay: tokens }, own.secret);
    await run(secret);
    expect((await run(secret)).status).toBe(429);
    expect((await run(own.secret)).status).toBe(200);
    expect((await run(own.secret)).status).toBe(402);
    expect((await run(secret)).status).toBe(429);
  });

  it("tell a browser's key no figures", async () => {
    vi.setSystemTime(Date.now());
    using _calls = scriptUpstream(() => completion("hidden"));
    const own = await insertTestProject();
    await setBudget(own, { tokensPerDay: 1 });
    await run(own.secret);
    const { secret } = await insertTestKey(own.principal.projectId, { kind: "publishable" });
    const input = { template: "any" };
    const answer = await callProcedure({ path: "completions.create", type: "mutation" }, { secret, input });
    expect(answer.status).toBe(429);
    expect(answer.text).toContain("project.tokensPerDay");
    expect(answer.text).not.toMatch(/"used"|"limit"/);
  });
});

describe("what budgets cost", () => {
  const statementsOf = async (call: (DB: D1Database) => Promise<Called>) => {
    const metered = meteredD1(env.DB);
    await (await call(metered)).settled();
    return metered.statements;
  };

  it("is a read of few rows for each in ten seconds, and few rows written with the run's end", async () => {
    vi.setSystemTime(Date.now());
    using _calls = scriptUpstream(() => completion("metered"));
    const own = await insertTestProject();
    await setBudget(own, { tokensPerDay: 1_000_000 });
    const { secret } = await create({ tokensPerDay: 1_000_000 }, own.secret);
    await env.DB.prepare(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
       INSERT INTO budget_daily SELECT ?, date('now'), 'key_' || i, 'CNY', 1, 1 FROM n`,
    )
      .bind(own.principal.projectId)
      .run();
    const send = (DB: D1Database) => chat(secret, { model }, { env: { DB } });
    const budgets = (statements: Awaited<ReturnType<typeof statementsOf>>) =>
      statements.filter(({ sql }) => sql.includes("budget_daily"));
    const cold = budgets(await statementsOf(send));
    const rowsRead = (statements: typeof cold) => statements.slice(0, 2).reduce((sum, each) => sum + each.rowsRead, 0);
    expect(cold.map(({ sql }) => sql.split(" ")[0])).toEqual(["select", "select", "insert"]);
    expect(rowsRead(cold)).toBeLessThanOrEqual(6);
    expect(cold[2]?.rowsWritten).toBeLessThanOrEqual(4);
    const warm = budgets(await statementsOf(send));
    expect(warm.map(({ sql }) => sql.split(" ")[0])).toEqual(["insert"]);
    expect(warm[0]?.rowsWritten).toBe(2);
    forget();
    // For two budgets, whatever other keys there are.
    expect(rowsRead(budgets(await statementsOf(send)))).toBeLessThanOrEqual(6);
  });

  it("is 503 with a time to come again while D1 cannot be asked", async () => {
    vi.setSystemTime(Date.now());
    using calls = scriptUpstream(() => completion("no"));
    const { secret } = await create({ tokensPerDay: 1_000 });
    const prepare = (sql: string) => {
      if (sql.includes('from "budget_daily"')) throw new Error("D1_ERROR: down");
      return env.DB.prepare(sql);
    };
    const DB = { prepare, batch: env.DB.batch.bind(env.DB) } as unknown as D1Database;
    const response = await run(secret, {}, { env: { DB } });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBeTruthy();
    expect(calls).toHaveLength(0);
  });
});

it.each([
  { tokensPerDay: 0 },
  { tokensPerDay: 1.5 },
  { tokensPerDay: limits.maxTokensPerDay + 1 },
  { costPerDay: { micros: 0, currency: "CNY" } },
  { costPerDay: { micros: 5, currency: "yuan" } },
  { costPerDay: { micros: 5 } },
])("refuses a budget that makes no sense: %o", async (budget) => {
  const input = { name: "runner", scopes: ["completions:run"], ...budget };
  const call = { secret: project.secret, input };
  expect((await callProcedure({ path: "keys.create", type: "mutation" }, call)).status).toBe(400);
});
