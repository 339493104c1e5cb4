import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { CreatedKey } from "../../src/contract/keys.ts";
import type { Env } from "../../src/env.ts";
import { callWeir, chat, completion, scriptUpstream } from "../support/call.ts";
import { callProcedure } from "../support/door.ts";
import { meteredD1 } from "../support/meteredD1.ts";
import { insertTestKey, insertTestProject } from "../support/projects.ts";

const project = await insertTestProject();

/** The Worker's rate-limit bindings, each with so many requests left, and the keys they were asked for. */
function bindings(left: Partial<Record<60 | 600 | 6000, number>>) {
  const asked: { rate: number; key: string }[] = [];
  const rates = { 60: 0, 600: 0, 6000: 0, ...left };
  const binding = (rate: 60 | 600 | 6000): RateLimit => ({
    limit: async ({ key }) => {
      asked.push({ rate, key });
      return { success: rates[rate]-- > 0 };
    },
  });
  const RATE_LIMITS: Partial<Env> = {
    RATE_LIMIT_60: binding(60),
    RATE_LIMIT_600: binding(600),
    RATE_LIMIT_6000: binding(6000),
  };
  return { asked, env: RATE_LIMITS };
}

const create = async (input: object): Promise<CreatedKey> => {
  const answer = await callProcedure({ path: "keys.create", type: "mutation" }, { secret: project.secret, input });
  expect(answer.status).toBe(200);
  return (answer.body as { result: { data: CreatedKey } }).result.data;
};
const runner = { name: "runner", scopes: ["completions:run"] };
const input = { model: "sim/echo", messages: [{ role: "user", content: "Hi" }] };

describe("a key with a rate", () => {
  it.each([60, 600, 6_000] as const)("is refused past %i requests a minute on the OpenAI door", async (rate) => {
    using calls = scriptUpstream(() => completion("within"));
    const { key, secret } = await create({ ...runner, requestsPerMinute: rate });
    expect(key.requestsPerMinute).toBe(rate);
    const { asked, env } = bindings({ [rate]: 2 });
    for (let sent = 0; sent < 2; sent++) {
      const { response } = await chat(secret, {}, { env });
      expect(response.status).toBe(200);
      expect(response.headers.get("x-ratelimit-limit-requests")).toBe(String(rate));
      expect(response.headers.get("x-ratelimit-remaining-requests")).toBeNull();
    }
    const { response } = await chat(secret, {}, { env });
    expect(response.status).toBe(429);
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(Number(response.headers.get("retry-after"))).toBeLessThanOrEqual(60);
    expect(response.headers.get("x-ratelimit-limit-requests")).toBe(String(rate));
    expect(await response.json()).toMatchObject({ error: { type: "rate_limit_error", code: "rate_limited" } });
    expect(calls).toHaveLength(2);
    expect(asked).toEqual(Array(3).fill({ rate, key: key.id }));
  });

  it("is refused a stream too, by its status", async () => {
    const { secret } = await create({ ...runner, requestsPerMinute: 60 });
    const { response } = await chat(secret, { stream: true }, bindings({}));
    expect(response.status).toBe(429);
    expect(response.headers.get("content-type")).toContain("application/json");
  });

  it("is refused on the tRPC door, with the same code and time to come again", async () => {
    const { secret } = await create({ ...runner, requestsPerMinute: 60 });
    const call = (left: number) =>
      callWeir("/trpc/completions.create", { secret, body: input, env: bindings({ 60: left }).env });
    expect((await call(1)).response.status).toBe(200);
    const { response } = await call(0);
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("60");
    expect(await response.json()).toMatchObject({
      error: { data: { weir: { code: "rate_limited", details: { limit: { requestsPerMinute: 60 } } } } },
    });
  });

  it("may call everything that runs nothing", async () => {
    const { secret } = await create({ name: "all", scopes: ["completions:run", "runs:read"], requestsPerMinute: 60 });
    const { asked, env } = bindings({});
    expect((await callWeir("/v1/models", { secret, env })).response.status).toBe(200);
    expect((await callWeir("/trpc/runs.list?input={}", { secret, env })).response.status).toBe(200);
    expect(asked).toEqual([]);
  });

  it("shares its rate with its successor", async () => {
    const { key } = await create({ ...runner, requestsPerMinute: 600 });
    const rotated = await callProcedure(
      { path: "keys.rotate", type: "mutation" },
      { secret: project.secret, input: { id: key.id } },
    );
    const { key: next, secret } = (rotated.body as { result: { data: CreatedKey } }).result.data;
    expect(next).toMatchObject({ requestsPerMinute: 600, rotatedFrom: key.id });
    const { asked, env } = bindings({});
    expect((await chat(secret, {}, { env })).response.status).toBe(429);
    expect(asked).toEqual([{ rate: 600, key: key.id }]);
  });

  it("is let through when the counter fails", async () => {
    using _calls = scriptUpstream(() => completion("through"));
    const { secret } = await create({ ...runner, requestsPerMinute: 60 });
    const RATE_LIMIT_60: RateLimit = { limit: () => Promise.reject(new Error("out of order")) };
    expect((await chat(secret, {}, { env: { RATE_LIMIT_60 } })).response.status).toBe(200);
  });

  it("waits for no D1 read once it is known", async () => {
    using _calls = scriptUpstream(() => completion("warm"));
    const { secret } = await create({ ...runner, requestsPerMinute: 6_000 });
    await (await chat(secret, { model: "sim/echo" })).settled();
    const metered = meteredD1(env.DB);
    await (await chat(secret, { model: "sim/echo" }, { env: { DB: metered } })).settled();
    expect(metered.statements.filter(({ sql }) => /^select/i.test(sql))).toEqual([]);
  });
});

describe("the rate that a key is given", () => {
  it("is none for a secret key and 60 for a publishable one, unless another is asked for", async () => {
    const browser = { name: "web", kind: "publishable" };
    expect((await create(runner)).key.requestsPerMinute).toBeNull();
    expect((await create(browser)).key.requestsPerMinute).toBe(60);
    expect((await create({ ...browser, requestsPerMinute: 600 })).key.requestsPerMinute).toBe(600);
  });

  it("is one of those that have a binding", async () => {
    for (const requestsPerMinute of [0, 61, -60, "60", null]) {
      const call = { secret: project.secret, input: { ...runner, requestsPerMinute } };
      expect((await callProcedure({ path: "keys.create", type: "mutation" }, call)).status).toBe(400);
    }
  });

  it("asks no counter for a key without one", async () => {
    using _calls = scriptUpstream(() => completion("free"));
    const { asked, env } = bindings({});
    const { response } = await chat(project.secret, {}, { env });
    expect(response.status).toBe(200);
    expect([...response.headers.keys()].filter((name) => name.startsWith("x-ratelimit"))).toEqual([]);
    expect(asked).toEqual([]);
  });

  it("becomes the next lower one when it is stored and there is no binding for it any more", async () => {
    const { principal, secret } = await insertTestKey(project.principal.projectId);
    const { keyId } = principal;
    for (const [stored, rate] of [
      [1_000, 600],
      [10, 60],
    ] as const) {
      await env.DB.prepare("UPDATE keys SET requests_per_minute = ? WHERE id = ?").bind(stored, keyId).run();
      const listed = await callProcedure({ path: "keys.list", type: "query" }, { secret, input: {} });
      const { items } = (listed.body as { result: { data: { items: CreatedKey["key"][] } } }).result.data;
      expect(items.find(({ id }) => id === keyId)?.requestsPerMinute).toBe(rate);
    }
  });
});

it("is counted by the platform's own binding", async () => {
  using calls = scriptUpstream(() => completion("counted"));
  const { secret } = await create({ ...runner, requestsPerMinute: 60 });
  const statuses: number[] = [];
  const records: Promise<void>[] = [];
  // The window may end while this goes on, once.
  while (statuses.length < 2 * 60 + 1 && statuses.at(-1) !== 429) {
    const { response, settled } = await chat(secret);
    records.push(settled());
    statuses.push(response.status);
  }
  await Promise.all(records);
  expect(statuses.at(-1)).toBe(429);
  expect(statuses.length).toBeGreaterThan(60);
  expect(calls).toHaveLength(statuses.length - 1);
});

it("names the binding that is missing", async () => {
  const { RATE_LIMIT_600: _gone, ...rest } = env;
  const { response } = await callWeir("/readyz", {
    env: { ...rest, RATE_LIMIT_600: undefined as unknown as RateLimit },
  });
  expect(response.status).toBe(503);
  expect(await response.text()).toContain("RATE_LIMIT_600");
});
