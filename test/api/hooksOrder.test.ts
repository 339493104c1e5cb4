import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { newUnguessableId } from "../../src/core/ids.ts";
import { newStandardSecret } from "../../src/core/standardWebhooks.ts";
import { callWeir, scriptUpstream } from "../support/call.ts";
import { done, post, standardHeaders, triggerProject } from "../support/triggers.ts";

const silent = () => new Response(null, { status: 500 });
const count = (table: "runs" | "events", projectId: string) =>
  env.DB.prepare(`SELECT count(*) n FROM ${table} WHERE project_id = ?`).bind(projectId).first<number>("n");

/** A binding that lets `allowed` requests through. */
function rateLimit(allowed: number) {
  let asked = 0;
  return { limit: async () => ({ success: ++asked <= allowed }) } as unknown as RateLimit;
}

describe("what a trigger's address refuses", () => {
  it("is of the size first: 413, signed or not, told or not", async () => {
    const { id, secret, projectId } = await triggerProject();
    const large = "x".repeat(limits.maxHookBytes + 1);
    for (const headers of [{}, await standardHeaders(secret, large)])
      expect((await post(id, large, headers)).status).toBe(413);
    const chunked = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < 11; at += 1) controller.enqueue(new Uint8Array(100_000).fill(120));
        controller.close();
      },
    });
    expect((await post(id, chunked)).status).toBe(413);
    expect(await count("events", projectId)).toBe(0);
  });

  it("takes a body of the greatest size", async () => {
    using _ = scriptUpstream(silent);
    const { id, secret, ended } = await triggerProject();
    const body = `{"text":"${"x".repeat(limits.maxHookBytes - 11)}"}`;
    expect(body).toHaveLength(limits.maxHookBytes);
    const { answer } = await post(id, body, await standardHeaders(secret, body));
    expect(answer.status).toBe("accepted");
    await ended(answer.runId);
  });

  it("is of the signature then, in one wording for all causes, whatever the rate", async () => {
    const { id, secret, projectId } = await triggerProject({ requestsPerMinute: 60 });
    const body = '{"text":"hi"}';
    const now = Math.floor(Date.now() / 1000);
    const right = await standardHeaders(secret, body);
    const causes: Record<string, string>[] = [
      {},
      await standardHeaders(newStandardSecret(), body),
      await standardHeaders(secret, "{}"),
      await standardHeaders(secret, body, { timestamp: now - 400 }),
      { ...right, "webhook-signature": "v1," },
      { ...right, "webhook-signature": right["webhook-signature"]?.replace("v1,", "v1a,") ?? "" },
      { ...right, "webhook-timestamp": `${now}abc` },
      { authorization: `Bearer ${secret}` },
    ];
    const answers = [];
    for (const headers of causes) answers.push(await post(id, body, headers, { RATE_LIMIT_60: rateLimit(0) }));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(await count("events", projectId)).toBe(0);
  });

  it("is of the rate then: 429 with Retry-After, and nothing is stored", async () => {
    using _ = scriptUpstream(silent);
    const { id, secret, projectId, ended } = await triggerProject({ requestsPerMinute: 60 });
    const body = '{"text":"hi"}';
    const bindings = { RATE_LIMIT_60: rateLimit(1) };
    const first = await post(id, body, await standardHeaders(secret, body, { id: "msg_a" }), bindings);
    expect(first.status).toBe(202);
    await ended(first.answer.runId);
    const second = await post(id, body, await standardHeaders(secret, body, { id: "msg_b" }), bindings);
    expect(second.status).toBe(429);
    expect(second.headers.get("retry-after")).toBe("60");
    expect(second.answer).toMatchObject({ error: { code: "rate_limited" } });
    expect(await count("events", projectId)).toBe(1);
  });

  it("is of an address that there is not, as of an archived one: 404", async () => {
    const { id, secret, key } = await triggerProject();
    const body = '{"text":"hi"}';
    const headers = await standardHeaders(secret, body);
    await done(key, "triggers.archive", { id });
    const [archived, missing] = [await post(id, body, headers), await post(newUnguessableId("trg"), body, headers)];
    expect([archived.status, missing.status]).toEqual([404, 404]);
    expect(archived.text).toBe(missing.text);
  });

  it("is of any other method: 405, and tells which it takes", async () => {
    const { id } = await triggerProject();
    const { response } = await callWeir(`/hooks/${id}`);
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
  });

  it("is of a body that is no UTF-8, once it is signed: 400", async () => {
    const { id, secret, projectId } = await triggerProject({ scheme: "bearer" });
    const bytes = Uint8Array.from([0x7b, 0xff, 0x7d]);
    expect((await post(id, bytes)).status).toBe(401);
    expect((await post(id, bytes, { authorization: `Bearer ${secret}` })).status).toBe(400);
    expect(await count("events", projectId)).toBe(0);
  });
});

it("the address has at least 128 random bits, and sorts by time all the same", async () => {
  const { id } = await triggerProject();
  expect(id).toMatch(/^trg_[0-9a-z]{26}[0-9a-f]{32}$/);
  const early = newUnguessableId("trg", 1_000);
  expect(early < newUnguessableId("trg", 2_000)).toBe(true);
  expect(newUnguessableId("trg", 1_000).slice(-32)).not.toBe(early.slice(-32));
});
