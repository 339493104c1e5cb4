import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { callWeir, completion, scriptUpstream } from "../support/call.ts";
import { failingD1 } from "../support/failingD1.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

describe("fault 21: D1 fails behind a remembered key", () => {
  it.each([false, true])("a template that cannot be read is 503 with Retry-After (stream: %s)", async (stream) => {
    const { secret } = project;
    await (await callWeir("/v1/models/none", { secret })).response.text();
    using sent = scriptUpstream(() => completion("ok"));
    const DB = failingD1(env.DB, { fails: () => true, when: "before" });
    const body = { prompt: { id: "letter" }, stream };
    const { response } = await callWeir("/v1/chat/completions", { secret, body, env: { DB } });
    expect(response.status).toBe(503);
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(sent).toHaveLength(0);
  });

  it.each([
    ["/v1/models", undefined],
    ["/trpc/runs.list?input=%7B%7D", undefined],
    ["/trpc/templates.list?input=%7B%7D", undefined],
    ["/trpc/keys.list?input=%7B%7D", undefined],
    ["/trpc/models.list", undefined],
    ["/trpc/upstreams.list?input=%7B%7D", undefined],
    ["/trpc/runs.stats?input=%7B%7D", undefined],
    ["/trpc/templates.create", { name: "n", content: { text: "x" } }],
    ["/trpc/keys.create", { name: "n", kind: "secret", scopes: ["runs:read"] }],
    ["/trpc/models.setPrice", { model: "m", price: null }],
  ])("%s answers 503 with Retry-After to a caller it remembers", async (path, body) => {
    const { secret } = project;
    await (await callWeir("/v1/models/none", { secret })).response.text();
    const DB = failingD1(env.DB, { fails: () => true, when: "before" });
    const { response, settled } = await callWeir(path, { secret, body, env: { DB } });
    const text = await response.text();
    await settled();
    expect(text).not.toMatch(/D1_ERROR|overloaded|select|insert/i);
    expect([response.status, Number(response.headers.get("retry-after")) > 0]).toEqual([503, true]);
  });
});
