import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { chat, completion, delta, events, scriptUpstream, storedRun } from "../support/call.ts";
import { meteredD1 } from "../support/meteredD1.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
let used = 0;
beforeAll(async () => {
  project = await insertTestProject();
});

const newKey = () => `key ${++used}`;
const once = async (key: string, body: Record<string, unknown> = {}): Promise<Response> => {
  const { response, settled } = await chat(project.secret, body, { headers: { "idempotency-key": key } });
  await settled();
  return response;
};

describe("the header Idempotency-Key", () => {
  it.each([
    ["an empty one", ""],
    ["one of 256 characters", "k".repeat(256)],
    ["one that is not ASCII", "clé"],
    ["one with a tab", "a\tb"],
  ])("is refused by name: %s", async (_name, key) => {
    using calls = scriptUpstream(() => completion("no"));
    const response = await once(key);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "invalid_request", param: "Idempotency-Key" } });
    expect(calls).toHaveLength(0);
  });

  it("may have 255 characters of any printable ASCII", async () => {
    using _calls = scriptUpstream(() => completion("yes"));
    expect((await once(`!" ~${"k".repeat(251)}`)).status).toBe(200);
  });

  it("changes nothing for a stream", async () => {
    using calls = scriptUpstream(() => events(delta("a"), delta("", "stop"), "data: [DONE]\n\n"));
    const key = newKey();
    for (let sent = 0; sent < 2; sent++) {
      const headers = { "idempotency-key": key };
      const { response, settled } = await chat(project.secret, { stream: true }, { headers });
      expect(await response.text()).toContain("[DONE]");
      await settled();
    }
    expect(calls).toHaveLength(2);
    expect(await env.DB.prepare("SELECT * FROM idempotency WHERE key = ?").bind(key).first()).toBeNull();
  });
});

describe("what it costs, and D1's failures", () => {
  it("costs a request without it no statement", async () => {
    using _calls = scriptUpstream(() => completion("plain"));
    const metered = meteredD1(env.DB);
    const { settled } = await chat(project.secret, {}, { env: { DB: metered } });
    await settled();
    expect(metered.statements.length).toBeGreaterThan(0);
    expect(metered.statements.filter(({ sql }) => /idempotency|budget/.test(sql))).toEqual([]);
  });

  it("costs one round trip before the call and one after it", async () => {
    using _calls = scriptUpstream(() => completion("metered"));
    const metered = meteredD1(env.DB);
    const key = newKey();
    const { settled } = await chat(project.secret, {}, { env: { DB: metered }, headers: { "idempotency-key": key } });
    await settled();
    const own = metered.statements.filter(({ sql }) => sql.includes("idempotency"));
    expect(own.map(({ sql }) => sql.split(" ")[0])).toEqual(["insert", "select", "update"]);
    expect(own.reduce((sum, { rowsRead }) => sum + rowsRead, 0)).toBeLessThanOrEqual(4);
    expect(own.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0)).toBeLessThanOrEqual(6);
  });

  it("answers 503 with a time to come again when D1 fails, and calls no upstream", async () => {
    using calls = scriptUpstream(() => completion("no"));
    const DB = {
      ...env.DB,
      prepare: env.DB.prepare.bind(env.DB),
      batch: () => Promise.reject(new Error("D1_ERROR: down")),
    };
    const headers = { "idempotency-key": newKey() };
    const { response } = await chat(project.secret, {}, { headers, env: { DB: DB as unknown as D1Database } });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBeTruthy();
    expect(calls).toHaveLength(0);
  });

  it("lets the answer stand when D1 fails after the call", async () => {
    using _calls = scriptUpstream(() => completion("stands"));
    let failures = 0;
    const prepare = (sql: string) => {
      if (!/^update "idempotency"/i.test(sql) || failures++ > 0) return env.DB.prepare(sql);
      throw new Error("D1_ERROR: down");
    };
    const DB = { prepare, batch: env.DB.batch.bind(env.DB) } as unknown as D1Database;
    const key = newKey();
    const { response, settled } = await chat(project.secret, {}, { headers: { "idempotency-key": key }, env: { DB } });
    expect(await response.text()).toContain("stands");
    await settled();
    expect(failures).toBeGreaterThan(1);
    expect((await once(key)).headers.get("idempotency-replayed")).toBe("true");
    expect(await storedRun(response.headers.get("x-weir-run-id"))).toMatchObject({ status: "succeeded" });
  });
});
