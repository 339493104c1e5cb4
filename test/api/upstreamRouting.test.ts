import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import type { Env } from "../../src/env.ts";
import { chat, completion, scriptUpstream, storedRun } from "../support/call.ts";
import { meteredD1 } from "../support/meteredD1.ts";
import { upstreamProject } from "../support/upstreams.ts";

/** Runs a whole completion; tells where it went and what is on record. */
async function routed(secret: string, model: string, bindings: Partial<Env> = {}) {
  using calls = scriptUpstream(() => completion("Hi"));
  const { response, settled } = await chat(secret, { model }, { env: bindings });
  const text = await response.text();
  await settled();
  const run = await storedRun(response.headers.get("x-weir-run-id"));
  const { url, body, headers } = calls[0] ?? {};
  return {
    status: response.status,
    text,
    host: url && new URL(url).host,
    model: body?.["model"],
    headers,
    run: run && { upstream: run["upstream"], asked: run["model_asked"], simulated: run["simulated"] },
    calls: calls.length,
  };
}

describe("a model of a project with upstreams", () => {
  it("goes to the upstream it names, under the rest of its name, with that upstream's key and headers", async () => {
    const { secret, create } = await upstreamProject();
    await create({ apiKey: "sk-acme", headers: { "X-Team": "blue" } });
    const call = await routed(secret, "acme/vendor/model-1");
    expect(call).toMatchObject({
      host: "acme.test",
      model: "vendor/model-1",
      run: { upstream: "acme", asked: "acme/vendor/model-1", simulated: 0 },
    });
    expect(call.headers?.get("authorization")).toBe("Bearer sk-acme");
    expect(call.headers?.get("x-team")).toBe("blue");
    expect(call.headers?.get("content-type")).toBe("application/json");
  });

  it("is renamed by the mapping, named with its upstream or alone; all else goes where it went before", async () => {
    const { secret, create } = await upstreamProject();
    await create({ models: { fast: "vendor/m-1", "vendor/known": "m-2", constructor: "m-3" } });
    await create({ name: "other", baseUrl: "https://other.test/v1", models: { fast: "o-1", slow: "o-2" } });
    const table: [string, string | undefined, unknown][] = [
      ["acme/fast", "acme.test", "vendor/m-1"],
      ["fast", "acme.test", "vendor/m-1"],
      ["vendor/known", "acme.test", "m-2"],
      ["acme/vendor/known", "acme.test", "m-2"],
      ["constructor", "acme.test", "m-3"],
      ["acme/slow", "acme.test", "slow"],
      ["other/fast", "other.test", "o-1"],
      ["slow", "other.test", "o-2"],
      ["toString", "upstream.test", "toString"],
      ["Fast", "upstream.test", "Fast"],
      ["acme", "upstream.test", "acme"],
      ["acm/fast", "upstream.test", "acm/fast"],
      ["/acme/fast", "upstream.test", "/acme/fast"],
      ["vendor/unknown", "upstream.test", "vendor/unknown"],
      ["default/fast", "upstream.test", "fast"],
      ["default/acme/fast", "upstream.test", "acme/fast"],
    ];
    for (const [asked, host, model] of table) expect(await routed(secret, asked), asked).toMatchObject({ host, model });
    expect(await routed(secret, "sim/echo")).toMatchObject({ calls: 0, run: { upstream: "sim", simulated: 1 } });
  });

  it("is not found when only an upstream is named", async () => {
    const { secret, create } = await upstreamProject();
    await create({});
    const call = await routed(secret, "acme/");
    expect(call).toMatchObject({ status: 404, calls: 0, run: null });
    expect(JSON.parse(call.text)).toMatchObject({ error: { param: "model", code: "not_found" } });
  });

  it("needs no default upstream", async () => {
    const { secret, create } = await upstreamProject();
    await create({});
    const without = { UPSTREAM_BASE_URL: "", SIMULATOR: "off" };
    expect(await routed(secret, "acme/m", without)).toMatchObject({ status: 200, host: "acme.test" });
    expect(await routed(secret, "m", without)).toMatchObject({ status: 404, calls: 0 });
  });

  it("is another project's model to another project", async () => {
    const [owner, stranger] = [await upstreamProject(), await upstreamProject()];
    await owner.create({ apiKey: "sk-owner", models: { fast: "m" } });
    await routed(owner.secret, "fast");
    for (const model of ["fast", "acme/m"]) {
      const call = await routed(stranger.secret, model);
      expect(call).toMatchObject({ host: "upstream.test", model, run: { upstream: "default" } });
      expect(call.headers?.get("authorization")).toBe("Bearer upstream-secret-key");
    }
  });

  it("is listed at both doors with its upstream", async () => {
    const { done, create } = await upstreamProject();
    await create({ models: { fast: "vendor/m-1" } });
    const { items } = await done<{ items: { id: string; upstream: string }[] }>("models.list", undefined);
    expect(items.find(({ id }) => id === "fast")).toMatchObject({ upstream: "acme", price: null });
  });

  it("costs at the environment's upstream what the catalogue says, also when addressed by it", async () => {
    const { secret, create } = await upstreamProject();
    await create({ name: "deepseek", baseUrl: "https://own.test/v1" });
    const model = "default/deepseek/deepseek-r1-distill-qwen-32b";
    using _calls = scriptUpstream(() => completion("Hi"));
    const { response, settled } = await chat(secret, { model });
    await settled();
    expect(await storedRun(response.headers.get("x-weir-run-id"))).toMatchObject({
      cost_micros: 304,
      upstream: "default",
    });
  });
});

describe("what a call reads of D1", () => {
  const reads = (metered: ReturnType<typeof meteredD1>) =>
    metered.statements.filter(({ sql }) => /^\s*select/i.test(sql)).map(({ sql }) => sql);

  it.each([
    ["with upstreams", "acme/m", true],
    ["without any", "m", false],
  ])("is nothing once it is warm, for a project %s", async (_, model, own) => {
    const { secret, create } = await upstreamProject();
    if (own) await create({ apiKey: "sk-acme", headers: { "x-team": "blue" } });
    const cold = meteredD1(env.DB);
    expect(await routed(secret, model, { DB: cold })).toMatchObject({ status: 200 });
    const ofUpstreams = cold.statements.filter(({ sql }) => sql.includes('"upstreams"'));
    expect(ofUpstreams).toHaveLength(1);
    expect(ofUpstreams[0]?.rowsRead).toBeLessThanOrEqual(own ? 2 : 1);
    const warm = meteredD1(env.DB);
    expect(await routed(secret, model, { DB: warm })).toMatchObject({ status: 200 });
    expect(reads(warm)).toEqual([]);
    expect(warm.statements.length).toBeGreaterThan(0);
  });

  it("decrypts nothing once it is warm", async () => {
    const { secret, create } = await upstreamProject();
    await create({ apiKey: "sk-acme" });
    using decrypt = vi.spyOn(crypto.subtle, "decrypt");
    await routed(secret, "acme/m");
    expect(decrypt).toHaveBeenCalledTimes(1);
    const call = await routed(secret, "acme/m");
    expect(decrypt).toHaveBeenCalledTimes(1);
    expect(call.headers?.get("authorization")).toBe("Bearer sk-acme");
  });

  it("tells what is wrong, and calls nothing, when the key cannot be decrypted or D1 cannot be asked", async () => {
    const { secret, create } = await upstreamProject();
    await create({ apiKey: "sk-acme" });
    const broken = new Proxy(env.DB, {
      get: (target, name) =>
        name === "prepare"
          ? (sql: string) => {
              if (sql.includes('"upstreams"')) throw new Error("D1_ERROR: overloaded");
              return target.prepare(sql);
            }
          : Reflect.get(target, name).bind(target),
    });
    const unasked = await routed(secret, "acme/m", { DB: broken });
    expect(unasked).toMatchObject({ status: 503, calls: 0, run: null });
    const undecrypted = await routed(secret, "acme/m", { ENCRYPTION_KEY: "" });
    expect(undecrypted).toMatchObject({ status: 503, calls: 0, text: expect.stringContaining("ENCRYPTION_KEY") });
  });
});
