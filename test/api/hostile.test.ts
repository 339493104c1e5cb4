import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
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

const doors = ["/v1/chat/completions", "/trpc/completions.create", "/trpc/templates.create,runs.list?batch=1"];

async function status(path: string, call: Call): Promise<number> {
  const { response, settled } = await callWeir(path, { secret, ...call });
  const text = await response.text();
  await settled();
  if (response.status >= 400) expect(JSON.parse(text)).toBeTypeOf("object");
  return response.status;
}

/** A body of `bytes` bytes without a content length. */
function chunked(bytes: number): ReadableStream<Uint8Array> {
  const piece = new Uint8Array(256 * 1024).fill(0x20);
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      if (sent >= bytes) return controller.close();
      sent += piece.length;
      controller.enqueue(piece);
    },
  });
}

describe.each(doors)("hostile bodies on %s", (path) => {
  it.each([
    ["larger than the limit", "x".repeat(limits.maxBodyBytes + 1), 413],
    ["larger than the limit, chunked", () => chunked(2 * limits.maxBodyBytes), 413],
    ["nested 200,000 deep", `${"[".repeat(200_000)}${"]".repeat(200_000)}`, 400],
    ["nested 200,000 deep in objects", `${'{"a":'.repeat(200_000)}1${"}".repeat(200_000)}`, 400],
    ["nested and never closed", "{".repeat(100), 400],
    ["not JSON", "{oops", 400],
    ["empty", "", 400],
    ["broken off", () => new ReadableStream({ pull: (controller) => controller.error(new Error("gone")) }), 400],
    ["a JSON string", '"x"', 400],
    ["a JSON array", "[1,2]", 400],
    ["null", "null", 400],
    ["invalid UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 400],
    ["a raw NUL", '{"model":"m\u0000"}', 400],
    ["an escaped NUL", '{"model":"m","messages":[{"role":"user","content":"a\\u0000b"}]}', 400],
    ["a lone surrogate", '{"model":"m","messages":[{"role":"user","content":"a\\ud800b"}]}', 400],
    ["__proto__ as a key", '{"__proto__":{"model":"m"},"constructor":1}', 400],
  ] as [string, string | Uint8Array | (() => ReadableStream), number][])("%s", async (_name, body, expected) => {
    expect(await status(path, { body: typeof body === "function" ? body() : body })).toBe(expected);
  });

  it("random JSON never gets a 5xx", async () => {
    using _calls = scriptUpstream(() => completion("ok"));
    await fc.assert(
      fc.asyncProperty(fc.json(), async (body) => {
        expect(await status(path, { body })).toBeLessThan(500);
      }),
      { numRuns: 60 },
    );
  });

  it("random bytes never get a 5xx", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (body) => {
        expect(await status(path, { body })).toBeLessThan(500);
      }),
      { numRuns: 60 },
    );
  });
});

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
    ["GET", "/trpc/nothing.here", 404],
    ["GET", "/trpc/__proto__", 404],
    ["GET", "/trpc/%E0%A4%A", 400],
    ["GET", "/trpc/templates.create", 405],
    ["POST", "/trpc/runs.list", 405],
    ["PUT", "/trpc/runs.list", 405],
    ["GET", "/trpc/runs.list?input=%7Boops", 400],
    ["GET", "/trpc/runs.list?input=%E0%A4%A", 400],
    ["GET", `/trpc/${Array(1000).fill("runs.list").join(",")}?batch=1`, 400],
    ["GET", "/trpc/runs.list?batch=1&input=%5B1%5D", 400],
    ["GET", "/trpc/runs.list?batch=1&input=null", 400],
  ])("%s %s is %i", async (method, path, expected) => {
    expect(await status(path, { method, ...(method === "POST" && { body: {} }) })).toBe(expected);
  });

  it("form data on a mutation is refused", async () => {
    const body = "--x\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n";
    const headers = { "content-type": "multipart/form-data; boundary=x" };
    expect(await status("/trpc/templates.create", { body, headers })).toBe(415);
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
