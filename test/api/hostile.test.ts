import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Call, callWeir, chat, completion, scriptUpstream } from "../support/call.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});

/** Whatever was sent before, the next request is served. */
afterEach(async () => {
  using _calls = scriptUpstream(() => completion("still here"));
  expect((await chat(secret)).response.status).toBe(200);
});

async function status(path: string, call: Call): Promise<number> {
  const { response, settled } = await callWeir(path, { secret, ...call });
  const text = await response.text();
  await settled();
  if (response.status >= 400) expect(JSON.parse(text)).toBeTypeOf("object");
  return response.status;
}

describe("hostile chat requests", () => {
  it("of nearly the right shape never get a 5xx", async () => {
    using _calls = scriptUpstream(() => completion("ok"));
    const message = fc.record(
      { role: fc.oneof(fc.constantFrom("user", "system", "tool"), fc.jsonValue()), content: fc.jsonValue() },
      { requiredKeys: [] },
    );
    const body = fc.record(
      {
        model: fc.oneof(
          fc.constantFrom("m", "sim/echo", "sim/script", "sim/schema", "template:x@y", "template:"),
          fc.jsonValue(),
        ),
        messages: fc.oneof(fc.array(fc.oneof(message, fc.jsonValue()), { maxLength: 4 }), fc.jsonValue()),
        prompt: fc.oneof(fc.record({ id: fc.string(), variables: fc.jsonValue() }), fc.jsonValue()),
        response_format: fc.oneof(
          fc.record({ type: fc.constant("json_schema"), json_schema: fc.jsonValue() }),
          fc.jsonValue(),
        ),
        stream: fc.oneof(fc.boolean(), fc.jsonValue()),
        stream_options: fc.jsonValue(),
        metadata: fc.jsonValue(),
        tools: fc.jsonValue(),
        temperature: fc.oneof(fc.double(), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(body, async (fields) => {
        const { response, settled } = await callWeir("/v1/chat/completions", { secret, body: fields });
        await response.text();
        await settled();
        expect(response.status).toBeLessThan(500);
      }),
      { numRuns: 200 },
    );
  });
});

describe("hostile addresses and methods", () => {
  it.each([
    ["GET", "/v1/chat/completions", 405],
    ["DELETE", "/v1/models", 405],
    ["GET", "/v1/nothing", 404],
    ["GET", "/nothing", 404],
    ["GET", "/v1/models/%E0%A4%A", 404],
    ["GET", "/%00", 404],
    ["GET", "/trpc", 404],
    ["GET", "/trpc/", 404],
    ["GET", "/trpc/__proto__", 404],
    ["GET", "/trpc/%E0%A4%A", 400],
    ["POST", "/trpc/runs.list", 405],
    ["PUT", "/trpc/runs.list", 405],
    ["GET", "/trpc/runs.list?input=%7Boops", 400],
    ["GET", "/trpc/runs.list?input=%E0%A4%A", 400],
    ["GET", "/trpc/runs.list?batch=1&input=%5B1%5D", 400],
    ["GET", "/trpc/runs.list?batch=1&input=null", 400],
  ])("%s %s is %i", async (method, path, expected) => {
    expect(await status(path, { method, ...(method === "POST" && { body: {} }) })).toBe(expected);
  });

  it.each([
    "Bearer",
    "Bearer ",
    "Basic eDp5",
    "Bearer weir_sk_",
    `Bearer ${"x".repeat(5_000)}`,
    "weir_sk_00000000000000000000000000000000",
  ])("the authorization %j is 401 on every door", async (authorization) => {
    for (const path of ["/v1/models", "/trpc/runs.list"]) {
      const { response } = await callWeir(path, { headers: { authorization } });
      expect(response.status).toBe(401);
    }
  });

  it("a single call that asks for a stream of lines is answered as JSON, with its request's id", async () => {
    const headers = { "trpc-accept": "application/jsonl" };
    const { response } = await callWeir("/trpc/runs.get?input=1", { secret, headers });
    expect(response.headers.get("content-type")).toContain("application/json");
    expect(await response.json()).toMatchObject({
      error: { data: { weir: { requestId: expect.stringMatching(/^req_/) } } },
    });
  });

  it("a batch too large is refused with its request's id", async () => {
    const { response } = await callWeir(`/trpc/${Array(21).fill("runs.list").join(",")}?batch=1`, { secret });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { data: { weir: { requestId: response.headers.get("x-request-id") } } },
    });
  });

  it.each([{ UPSTREAM_BASE_URL: "nope" }, { SIMULATOR: "true" }, { UPSTREAM_IDLE_TIMEOUT_MS: "soon" }])(
    "a bad setting %j is 503 in the door's form, pointing at /readyz",
    async (env) => {
      for (const path of ["/v1/models", "/trpc/runs.list"]) {
        const { response } = await callWeir(path, { secret, env });
        expect(response.status).toBe(503);
        expect(JSON.stringify(await response.json())).toContain("/readyz");
      }
      expect((await callWeir("/healthz", { env })).response.status).toBe(200);
    },
  );

  it("an empty setting counts as absent", async () => {
    const env = { UPSTREAM_IDLE_TIMEOUT_MS: "", SIMULATOR: "", UPSTREAM_BASE_URL: "" };
    expect((await callWeir("/v1/models", { secret, env })).response.status).toBe(200);
  });

  it("HEAD and OPTIONS are answered", async () => {
    expect((await callWeir("/healthz", { method: "HEAD" })).response.status).toBe(200);
    expect((await callWeir("/v1/chat/completions", { method: "OPTIONS" })).response.status).toBeLessThan(500);
  });
});
