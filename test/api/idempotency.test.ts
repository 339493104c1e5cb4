import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { type Called, chat, completion, scriptUpstream } from "../support/call.ts";
import { callProcedure } from "../support/door.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
let used = 0;
beforeAll(async () => {
  project = await insertTestProject();
});

const newKey = () => `key ${++used}`;
const keyed = (key: string, body: Record<string, unknown> = {}, secret = project.secret): Promise<Called> =>
  chat(secret, body, { headers: { "idempotency-key": key } });
const once = async (key: string, body: Record<string, unknown> = {}, secret = project.secret): Promise<Response> => {
  const { response, settled } = await keyed(key, body, secret);
  await settled();
  return response;
};
const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { message: string; param: string; code: string; type: string } }).error;
const row = (key: string) => env.DB.prepare("SELECT * FROM idempotency WHERE key = ?").bind(key).first();
const pass = (key: string, ms: number) =>
  env.DB.prepare("UPDATE idempotency SET expires_at = expires_at - ? WHERE key = ?").bind(ms, key).run();

describe("a completion under an Idempotency-Key", () => {
  it("is run once; sent again it gets the same answer of the same run", async () => {
    using calls = scriptUpstream(() => completion("once"));
    const key = newKey();
    const first = await once(key);
    const again = await once(key);
    expect(calls).toHaveLength(1);
    expect(await again.text()).toBe(await first.text());
    expect(again.status).toBe(200);
    for (const name of ["x-weir-run-id", "x-weir-model", "content-type"]) {
      expect(first.headers.get(name)).toBeTruthy();
      expect(again.headers.get(name)).toBe(first.headers.get(name));
    }
    expect(first.headers.get("idempotency-replayed")).toBeNull();
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect(again.headers.get("x-request-id")).not.toBe(first.headers.get("x-request-id"));
  });

  it("is the same request whatever the order of its fields", async () => {
    using calls = scriptUpstream(() => completion("same"));
    const key = newKey();
    await once(key, { temperature: 0, seed: 1 });
    expect((await once(key, { seed: 1, temperature: 0 })).status).toBe(200);
    expect(calls).toHaveLength(1);
  });

  it("conflicts with another request, and calls no upstream for that", async () => {
    using calls = scriptUpstream(() => completion("first"));
    const key = newKey();
    await once(key);
    const other = await once(key, { temperature: 0.1 });
    expect(other.status).toBe(409);
    expect(await errorOf(other)).toMatchObject({
      code: "conflict",
      param: "Idempotency-Key",
      message: expect.stringContaining("another request"),
    });
    expect(other.headers.get("retry-after")).toBeNull();
    expect(calls).toHaveLength(1);
  });

  it("conflicts while the first is running, with a time to come again, and is replayed afterwards", async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<Response>();
    using calls = scriptUpstream(() => {
      asked.resolve();
      return answer.promise;
    });
    const key = newKey();
    const first = keyed(key);
    await asked.promise;
    const early = await once(key);
    expect(early.status).toBe(409);
    expect(early.headers.get("retry-after")).toBe(String(limits.claimRetryAfterSeconds));
    expect(await errorOf(early)).toMatchObject({ code: "conflict", message: expect.stringContaining("running") });
    expect((await once(key, { seed: 2 })).headers.get("retry-after")).toBeNull();
    answer.resolve(completion("at last"));
    await (await first).settled();
    expect(await (await once(key)).text()).toContain("at last");
    expect(calls).toHaveLength(1);
  });

  it("is run once however many send it at the same time", async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    using calls = scriptUpstream(async () => {
      asked.resolve();
      await answer.promise;
      return completion("one of twenty");
    });
    const key = newKey();
    const all = Array.from({ length: 20 }, () => keyed(key));
    await asked.promise;
    answer.resolve();
    const responses = (await Promise.all(all)).map(({ response }) => response);
    expect(calls).toHaveLength(1);
    const replays = responses.filter((response) => response.headers.has("idempotency-replayed"));
    const conflicts = responses.filter(({ status }) => status === 409);
    expect(replays.length + conflicts.length).toBe(19);
    const runs = responses.filter(({ status }) => status === 200).map(({ headers }) => headers.get("x-weir-run-id"));
    expect(new Set(runs).size).toBe(1);
  });

  it("lets one of twenty take over a key whose day is over", async () => {
    const key = newKey();
    {
      using _calls = scriptUpstream(() => completion("yesterday"));
      await once(key);
    }
    await pass(key, limits.replayMs);
    using calls = scriptUpstream(() => completion("today"));
    const all = await Promise.all(Array.from({ length: 20 }, () => keyed(key, { seed: 7 })));
    expect(calls).toHaveLength(1);
    for (const { response } of all) if (response.status === 200) expect(await response.text()).toContain("today");
  });

  it("is replayed until its day is over", async () => {
    using calls = scriptUpstream(() => completion("kept"));
    const key = newKey();
    await once(key);
    await pass(key, limits.replayMs - 60_000);
    expect((await once(key)).headers.get("idempotency-replayed")).toBe("true");
    expect(calls).toHaveLength(1);
  });

  it("replays what the upstream refused for good", async () => {
    const error = { message: "temperature is too high", param: "temperature", code: "bad_value" };
    using calls = scriptUpstream(() => Response.json({ error }, { status: 400 }));
    const key = newKey();
    const first = await once(key);
    const again = await once(key);
    expect([first.status, again.status]).toEqual([400, 400]);
    expect(await again.text()).toBe(await first.text());
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect(again.headers.get("x-weir-run-id")).toBe(first.headers.get("x-weir-run-id"));
    expect(calls).toHaveLength(1);
  });

  it.each([429, 401, 408, 500, 503])("frees the key when the upstream fails with %i", async (status) => {
    const key = newKey();
    {
      using _calls = scriptUpstream(() => Response.json({ error: { message: "no" } }, { status }));
      const { response, settled } = await chat(
        project.secret,
        {},
        { headers: { "idempotency-key": key }, env: { UPSTREAM_ATTEMPTS: "1" } },
      );
      await settled();
      expect(response.status).toBeGreaterThanOrEqual(429);
    }
    expect(await row(key)).toBeNull();
    using calls = scriptUpstream(() => completion("better"));
    expect((await once(key)).status).toBe(200);
    expect(calls).toHaveLength(1);
  });

  it("frees the key when weir itself refuses the request", async () => {
    const key = newKey();
    expect((await once(key, { model: "template:nowhere", messages: [] })).status).toBe(404);
    expect(await row(key)).toBeNull();
  });

  it("is kept apart by project, and shared by the keys of one", async () => {
    using calls = scriptUpstream(() => completion("mine"));
    const key = newKey();
    const stranger = await insertTestProject();
    const colleague = await insertTestKey(project.principal.projectId);
    const [own, theirs] = [await once(key), await once(key, {}, stranger.secret)];
    expect(theirs.headers.get("idempotency-replayed")).toBeNull();
    expect(theirs.headers.get("x-weir-run-id")).not.toBe(own.headers.get("x-weir-run-id"));
    expect((await once(key, { seed: 1 }, stranger.secret)).status).toBe(409);
    expect((await once(key, {}, colleague.secret)).headers.get("x-weir-run-id")).toBe(own.headers.get("x-weir-run-id"));
    expect(calls).toHaveLength(2);
  });

  it("says so, naming the run, when the answer was too large to be kept", async () => {
    using calls = scriptUpstream(() => completion("漢".repeat(limits.maxReplayBytes / 3)));
    const key = newKey();
    const first = await once(key);
    expect(first.status).toBe(200);
    const again = await once(key);
    expect(again.status).toBe(409);
    expect(again.headers.get("x-weir-run-id")).toBe(first.headers.get("x-weir-run-id"));
    expect((await errorOf(again)).message).toContain("not kept");
    expect(calls).toHaveLength(1);
  });

  it("keeps no answer of a project that keeps no contents", async () => {
    using calls = scriptUpstream(() => completion("a secret answer"));
    const quiet = await insertTestProject({ keepContents: false });
    const key = newKey();
    await once(key, {}, quiet.secret);
    expect(JSON.stringify(await row(key))).not.toContain("secret answer");
    expect((await once(key, {}, quiet.secret)).status).toBe(409);
    expect(calls).toHaveLength(1);
  });

  it("keeps no answer of a run that is deleted, not even when another project asks for that", async () => {
    using calls = scriptUpstream(() => completion("to be forgotten"));
    const key = newKey();
    const id = (await once(key)).headers.get("x-weir-run-id");
    const remove = (secret: string) =>
      callProcedure({ path: "runs.delete", type: "mutation" }, { secret, input: { id } });
    expect((await remove((await insertTestProject()).secret)).status).toBe(404);
    expect((await row(key))?.["body"]).toContain("to be forgotten");
    expect((await remove(project.secret)).status).toBe(200);
    expect(JSON.stringify(await row(key))).not.toContain("to be forgotten");
    expect((await once(key)).status).toBe(409);
    expect(calls).toHaveLength(1);
  });
});
