import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { Upstream, type UpstreamTest } from "../../src/contract/upstreams.ts";
import { callWeir, chat, completion, scriptUpstream, storedRun } from "../support/call.ts";
import { upstreamProject } from "../support/upstreams.ts";

const apiKey = "sk-acme-0123456789abcdef";
const headers = { "X-Team": "team-secret-value" };

describe("the key and the headers of an upstream", () => {
  it("are encrypted in D1 and never shown", async () => {
    const { answerOf, done, row } = await upstreamProject();
    const input = { name: "acme", baseUrl: "https://acme.test/v1/", apiKey, headers };
    const { text, data } = await answerOf("upstreams.create", input);
    const created = Upstream.strict().parse(data);
    expect(created).toMatchObject({
      baseUrl: "https://acme.test/v1",
      hasKey: true,
      keyHint: "…cdef",
      headers: ["x-team"],
      archived: false,
    });
    const stored = JSON.stringify(await row(created.id));
    const shown =
      text + JSON.stringify([await done("upstreams.list", {}), await done("upstreams.update", { id: created.id })]);
    for (const secret of [apiKey, "0123456789", "team-secret-value", btoa(apiKey)]) {
      expect(stored).not.toContain(secret);
      expect(shown).not.toContain(secret);
    }
    expect(await row(created.id)).toMatchObject({
      sealed_key: expect.stringMatching(/^v1\./),
      sealed_headers: expect.stringMatching(/^v1\./),
    });
  });

  it("show nothing of a short key", async () => {
    const { create } = await upstreamProject();
    expect((await create({ apiKey: "short-key" })).keyHint).toBe("…");
  });

  it("are of no use in another project's row", async () => {
    using calls = scriptUpstream(() => completion("Hi"));
    const [owner, thief] = [await upstreamProject(), await upstreamProject()];
    const { id } = await owner.create({ apiKey });
    const own = await thief.create({ apiKey: "another" });
    await env.DB.prepare(
      "UPDATE upstreams SET sealed_key = (SELECT sealed_key FROM upstreams WHERE id = ?) WHERE id = ?",
    )
      .bind(id, own.id)
      .run();
    const { response } = await chat(thief.secret, { model: "acme/m" });
    expect(response.status).toBe(503);
    expect(await response.text()).toContain("ENCRYPTION_KEY");
    expect(calls).toHaveLength(0);
  });

  it("cannot be kept without an ENCRYPTION_KEY, but an upstream that needs none works", async () => {
    using calls = scriptUpstream(() => completion("Hi"));
    const without = { ENCRYPTION_KEY: "" };
    const { secret, refusal, create } = await upstreamProject(without);
    const open = await create({});
    for (const input of [{ apiKey }, { headers }]) {
      const error = { code: "unavailable", message: expect.stringContaining("ENCRYPTION_KEY") };
      const made = { name: "other", baseUrl: "https://acme.test/v1", ...input };
      expect(await refusal("upstreams.create", made)).toMatchObject(error);
      expect(await refusal("upstreams.update", { id: open.id, ...input })).toMatchObject(error);
    }
    const { response } = await chat(secret, { model: "acme/m" }, { env: without });
    expect(response.status).toBe(200);
    expect(calls[0]?.headers.get("authorization")).toBeNull();
  });

  it("need an ENCRYPTION_KEY of 32 bytes: another is named when the Worker is asked whether it is ready", async () => {
    const { response } = await callWeir("/readyz", { env: { ENCRYPTION_KEY: "dG9vIHNob3J0" } });
    const text = await response.text();
    expect(response.status).toBe(503);
    expect(text).toContain("ENCRYPTION_KEY: must be 32 random bytes in base64");
    expect(text).not.toContain("dG9vIHNob3J0");
  });
});

describe("changing an upstream", () => {
  it("demands the key and the headers again with a new address", async () => {
    const { create, refusal, done, row } = await upstreamProject();
    const { id } = await create({ apiKey, headers });
    const before = await row(id);
    const moved = { id, baseUrl: "https://thief.test/v1" };
    expect(await refusal("upstreams.update", { ...moved, headers: {} })).toMatchObject({
      code: "invalid_request",
      param: "apiKey",
    });
    expect(await refusal("upstreams.update", { ...moved, apiKey: "new" })).toMatchObject({
      code: "invalid_request",
      param: "headers",
    });
    expect(await row(id)).toEqual(before);
    const updated = await done<Upstream>("upstreams.update", { ...moved, apiKey: null, headers: {} });
    expect(updated).toMatchObject({ baseUrl: "https://thief.test/v1", hasKey: false, keyHint: null, headers: [] });
    expect(await row(id)).toMatchObject({ sealed_key: null, sealed_headers: null });
  });

  it("keeps what is not given, and takes another notation of the same address for no new one", async () => {
    const { create, done, row } = await upstreamProject();
    const { id, ...created } = await create({ apiKey, headers, models: { fast: "m-1" } });
    const sealed = await row(id);
    const same = await done<Upstream>("upstreams.update", { id, baseUrl: "https://ACME.test:443/v1/", name: "new" });
    expect(same).toEqual({ ...created, id, name: "new", updatedAt: expect.any(String) });
    expect(await row(id)).toMatchObject({
      sealed_key: sealed?.["sealed_key"],
      sealed_headers: sealed?.["sealed_headers"],
    });
    expect((await done<Upstream>("upstreams.update", { id, models: {} })).models).toEqual({});
  });

  it("sets and takes away how many jobs may call it at a time, and keeps it else", async () => {
    const { create, done, refusal } = await upstreamProject();
    const { id, maxJobs } = await create({ maxJobs: 5 });
    expect(maxJobs).toBe(5);
    expect(await done("upstreams.update", { id, name: "new" })).toMatchObject({ maxJobs: 5 });
    expect(await done("upstreams.update", { id, maxJobs: null })).toMatchObject({ maxJobs: null });
    expect(await done("upstreams.list", {})).toMatchObject({ items: [{ maxJobs: null }] });
    for (const number of [0, 1.5, limits.maxConcurrentJobs + 1])
      expect(await refusal("upstreams.update", { id, maxJobs: number })).toMatchObject({
        code: "invalid_request",
        param: "maxJobs",
      });
  });

  it("holds for the next call", async () => {
    using calls = scriptUpstream(() => completion("Hi"));
    const { secret, create, done } = await upstreamProject();
    const { id } = await create({ apiKey });
    await chat(secret, { model: "acme/m" });
    await done("upstreams.update", { id, baseUrl: "https://new.test/v1", apiKey: "sk-new", models: { m: "m-2" } });
    await chat(secret, { model: "acme/m" });
    expect(calls.map(({ url, body }) => [url, body["model"]])).toEqual([
      ["https://acme.test/v1/chat/completions", "m"],
      ["https://new.test/v1/chat/completions", "m-2"],
    ]);
    expect(calls[1]?.headers.get("authorization")).toBe("Bearer sk-new");
  });

  it("refuses a name that is taken, also by a concurrent call", async () => {
    const { create, refusal, answerOf } = await upstreamProject();
    await create({});
    const { id } = await create({ name: "other" });
    const taken = { code: "conflict", param: "name" };
    expect(await refusal("upstreams.update", { id, name: "acme" })).toMatchObject(taken);
    expect(await refusal("upstreams.create", { name: "acme", baseUrl: "https://a.test" })).toMatchObject(taken);
    const racing = { name: "racing", baseUrl: "https://a.test" };
    const answers = await Promise.all(Array.from({ length: 8 }, () => answerOf("upstreams.create", racing)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(7).fill(409)]);
  });

  it("keeps to the number of upstreams a project may have", async () => {
    const { create, refusal, done } = await upstreamProject();
    const made = [];
    for (let count = 0; count < limits.maxUpstreams; count++) made.push(await create({ name: `up-${count}` }));
    const more = { name: "more", baseUrl: "https://a.test" };
    expect(await refusal("upstreams.create", more)).toMatchObject({ code: "conflict" });
    await done("upstreams.archive", { id: made[0]?.id });
    await done("upstreams.create", more);
  });
});

describe("archiving an upstream", () => {
  it("drops its secrets, frees its name and ends its routes", async () => {
    using calls = scriptUpstream(() => completion("Hi"));
    const { secret, create, done, refusal, row } = await upstreamProject();
    const { id } = await create({ apiKey, headers, models: { fast: "m" } });
    await chat(secret, { model: "fast" });
    const archived = await done<Upstream>("upstreams.archive", { id });
    expect(archived).toMatchObject({ archived: true, hasKey: false, keyHint: null, headers: [] });
    expect(await row(id)).toMatchObject({ sealed_key: null, sealed_headers: null, key_hint: null });
    await chat(secret, { model: "fast" });
    await chat(secret, { model: "acme/m" });
    expect(calls.map(({ url }) => new URL(url).host)).toEqual(["acme.test", "upstream.test", "upstream.test"]);

    expect(await done("upstreams.archive", { id })).toEqual(archived);
    expect(await refusal("upstreams.update", { id, name: "x" })).toMatchObject({ code: "conflict" });
    expect(await refusal("upstreams.test", { id, model: "m" })).toMatchObject({ code: "conflict" });
    const again = await create({});
    expect(await done("upstreams.list", {})).toEqual({ items: [again], nextCursor: null });
    expect(await done("upstreams.list", { archived: true })).toEqual({ items: [archived], nextCursor: null });
  });
});

describe("testing an upstream", () => {
  it("asks it for one token of the model, as a completion would be sent, and records no run", async () => {
    using calls = scriptUpstream(() => completion("p"));
    const { projectId, create, done } = await upstreamProject();
    const { id } = await create({ apiKey, headers, models: { fast: "m-1" } });
    const result = await done<UpstreamTest>("upstreams.test", { id, model: "fast" });
    expect(result).toEqual({ ok: true, status: 200, latencyMs: expect.any(Number), model: "vendor/answered" });
    expect(calls[0]).toMatchObject({
      url: "https://acme.test/v1/chat/completions",
      body: { model: "m-1", messages: [{ role: "user", content: "ping" }], max_tokens: 1 },
    });
    expect(calls[0]?.headers.get("authorization")).toBe(`Bearer ${apiKey}`);
    expect(calls[0]?.headers.get("x-team")).toBe("team-secret-value");
    const runs = await env.DB.prepare("SELECT count(*) AS n FROM runs WHERE project_id = ?").bind(projectId).first();
    expect(runs).toEqual({ n: 0 });
  });

  it.each([
    [400, "invalid_request"],
    [401, "upstream_error"],
    [404, "not_found"],
    [429, "rate_limited"],
    [500, "upstream_error"],
  ])("tells what went wrong of a %s, cleaned of secrets", async (status, code) => {
    const message = `acme.test refused ${apiKey} of team-secret-value at https://acme.test/v1/chat/completions`;
    using _ = scriptUpstream(() => Response.json({ error: { message } }, { status }));
    const { create, answerOf } = await upstreamProject();
    const { id } = await create({ apiKey, headers });
    const { text, data } = await answerOf("upstreams.test", { id, model: "m" });
    expect(data).toMatchObject({ ok: false, status, error: { code } });
    for (const secret of [apiKey, "team-secret-value", "acme.test"]) expect(text).not.toContain(secret);
  });

  it.each<[string, () => Response, number | null]>([
    ["an upstream that cannot be reached", () => Response.error(), null],
    ["a page", () => new Response("<html>", { headers: { "content-type": "text/html" } }), 200],
    ["an error in place of an answer", () => Response.json({ error: { message: "no" } }), 200],
    ["a redirect", () => new Response(null, { status: 302, headers: { location: "https://thief.test" } }), null],
  ])("fails for %s", async (what, answer, status) => {
    using _ = scriptUpstream(() => {
      if (what.includes("reached")) throw new TypeError("connect ECONNREFUSED acme.test");
      return answer();
    });
    const { create, done } = await upstreamProject();
    const { id } = await create({ apiKey });
    const result = await done<UpstreamTest>("upstreams.test", { id, model: "m" });
    expect(result).toMatchObject({ ok: false, status, error: { message: expect.not.stringContaining("acme.test") } });
  });
});

describe("what an upstream may be", () => {
  it.each([
    ["name", { name: "default" }],
    ["name", { name: "sim" }],
    ["name", { name: "Acme" }],
    ["name", { name: "a/b" }],
    ["name", { name: "" }],
    ["name", { name: "a".repeat(33) }],
    ["baseUrl", { baseUrl: "http://acme.test/v1" }],
    ["baseUrl", { baseUrl: "http://127.0.0.1/v1" }],
    ["baseUrl", { baseUrl: `https://acme.test/${"a".repeat(500)}` }],
    ["apiKey", { apiKey: "" }],
    ["apiKey", { apiKey: "two words" }],
    ["apiKey", { apiKey: "a\r\nb: c" }],
    ["headers.Authorization", { headers: { Authorization: "x" } }],
    ["headers.HOST", { headers: { HOST: "x" } }],
    ["headers.content-length", { headers: { "content-length": "1" } }],
    ["headers.a b", { headers: { "a b": "x" } }],
    ["headers.x-a", { headers: { "x-a": "a\r\nb: c" } }],
    ["headers", { headers: { "X-A": "1", "x-a": "2" } }],
    ["headers", { headers: Object.fromEntries(Array.from({ length: 11 }, (_, at) => [`x-${at}`, "v"])) }],
    ["models", { models: Object.fromEntries(Array.from({ length: 201 }, (_, at) => [`m-${at}`, "m"])) }],
    ["models.fast", { models: { fast: "" } }],
    ["surprise", { surprise: 1 }],
  ])("is refused for its %s: %o", async (param, fields) => {
    const { refusal, done } = await upstreamProject();
    const input = { name: "acme", baseUrl: "https://acme.test/v1", ...fields };
    expect(await refusal("upstreams.create", input)).toMatchObject({ code: "invalid_request", param });
    expect(await done("upstreams.list", {})).toEqual({ items: [], nextCursor: null });
  });

  it("is on this machine only where that is allowed", async () => {
    const { create, refusal, done } = await upstreamProject();
    const { id } = await create({});
    const input = { id, baseUrl: "http://127.0.0.1:8080/v1" };
    expect(await refusal("upstreams.update", input)).toMatchObject({ code: "invalid_request", param: "baseUrl" });
    await done("upstreams.update", input, { ALLOW_LOOPBACK_UPSTREAMS: "on" });
  });
});

it("an error of a project's own upstream reaches the client without its address, key and headers", async () => {
  const message = `acme.test refused ${apiKey} of team-secret-value`;
  using _ = scriptUpstream(() => Response.json({ error: { message } }, { status: 400 }));
  const { secret, create } = await upstreamProject();
  await create({ apiKey, headers });
  const { response, settled } = await chat(secret, { model: "acme/m" });
  const text = await response.text();
  await settled();
  const run = await storedRun(response.headers.get("x-weir-run-id"));
  expect(run).toMatchObject({ upstream: "acme", status: "failed" });
  for (const secretText of [apiKey, "team-secret-value", "acme.test"])
    expect(text + JSON.stringify(run)).not.toContain(secretText);
});
