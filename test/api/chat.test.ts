import { beforeAll, describe, expect, it } from "vitest";
import { callWeir, chat, completion, scriptUpstream, storedContents, storedRun, upstreamUrl } from "../support/call.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});

const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { message: string; type: string; param: string | null; code: string } }).error;

describe("a whole completion through the OpenAI door", () => {
  it("sends the body upstream with weir's key and returns the upstream's bytes", async () => {
    const upstream = completion("你好", { odd_field: { kept: [1, null] } });
    const bytes = await upstream.clone().text();
    using calls = scriptUpstream(() => upstream);
    const { response } = await chat(secret, { temperature: 0.5, unknown_field: { a: null }, user: "u1" });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.text()).toBe(bytes);
    expect(calls).toHaveLength(1);
    expect(calls[0]?.url).toBe(`${upstreamUrl}/chat/completions`);
    expect(calls[0]?.headers.get("authorization")).toBe("Bearer upstream-secret-key");
    expect(calls[0]?.body).toEqual({
      model: "test-model",
      messages: [{ role: "user", content: "Hi" }],
      temperature: 0.5,
      unknown_field: { a: null },
      user: "u1",
    });
  });

  it("leaves one row that says who, what, how it went, how much and how fast", async () => {
    using _calls = scriptUpstream(() => completion("answer"));
    const { response, settled } = await chat(secret, {
      model: "deepseek/deepseek-r1-distill-qwen-32b",
      metadata: { customer: "c1" },
    });
    await settled();
    const id = response.headers.get("x-weir-run-id");
    const run = await storedRun(id);
    expect(run).toMatchObject({
      status: "succeeded",
      source: "openai",
      simulated: 0,
      stream: 0,
      model_asked: "deepseek/deepseek-r1-distill-qwen-32b",
      model_answered: "vendor/answered",
      upstream: "default",
      finish_reason: "stop",
      prompt_tokens: 9,
      completion_tokens: 72,
      usage_source: "upstream",
      // 81 tokens at 3.75 micro-yuan each, rounded half up.
      cost_micros: 304,
      cost_currency: "CNY",
      metadata: '{"customer":"c1"}',
    });
    expect(run?.["headers_ms"]).toEqual(expect.any(Number));
    expect(run?.["total_ms"]).toEqual(expect.any(Number));
    const contents = await storedContents(id);
    expect(contents?.answer).toContain("because");
    expect(contents?.request).toContain("Hi");
  });

  it("keeps the cost of a model without a price unknown, never zero", async () => {
    using _calls = scriptUpstream(() => completion("answer"));
    const { response, settled } = await chat(secret, { model: "vendor/unpriced" });
    await settled();
    expect(await storedRun(response.headers.get("x-weir-run-id"))).toMatchObject({
      cost_micros: null,
      prompt_tokens: 9,
    });
  });

  it("keeps usage unknown when the upstream reports none", async () => {
    using _calls = scriptUpstream(() => completion("answer", { usage: undefined }));
    const { response, settled } = await chat(secret, { model: "deepseek/deepseek-r1-distill-qwen-32b" });
    await settled();
    const run = await storedRun(response.headers.get("x-weir-run-id"));
    expect(run).toMatchObject({ usage_source: "unknown", prompt_tokens: null, cost_micros: null });
  });

  it("does not keep contents where the project keeps none", async () => {
    const { secret: own } = await insertTestProject({ keepContents: false });
    using _calls = scriptUpstream(() => completion("answer"));
    const { response, settled } = await chat(own);
    await settled();
    const id = response.headers.get("x-weir-run-id");
    expect(await storedRun(id)).toMatchObject({ status: "succeeded", completion_tokens: 72 });
    expect(await storedContents(id)).toBeNull();
  });
});

describe("what clients send", () => {
  it.each([
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    "text/plain",
    "text/plain; charset=utf-8",
  ])("takes a body of type %s", async (type) => {
    using _calls = scriptUpstream(() => completion("ok"));
    expect((await chat(secret, {}, { headers: { "content-type": type } })).response.status).toBe(200);
  });

  it("refuses other content types with 415", async () => {
    using calls = scriptUpstream(() => completion("ok"));
    for (const type of ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"]) {
      const { response } = await chat(secret, {}, { headers: { "content-type": type } });
      expect(response.status).toBe(415);
    }
    expect(calls).toHaveLength(0);
  });

  it("takes one message object as an array of one", async () => {
    using calls = scriptUpstream(() => completion("ok"));
    await chat(secret, { messages: { role: "user", content: "solo" } });
    expect(calls[0]?.body["messages"]).toEqual([{ role: "user", content: "solo" }]);
  });

  it("counts null as absent for known parameters and leaves it in unknown ones", async () => {
    using calls = scriptUpstream(() => completion("ok"));
    await chat(secret, { temperature: null, stop: null, stream: null, metadata: null, prompt: null, unknown: null });
    expect(Object.keys(calls[0]?.body ?? {}).sort()).toEqual(["messages", "model", "unknown"]);
  });

  it("takes escaped and raw text alike", async () => {
    using calls = scriptUpstream(() => completion("ok"));
    const body = '{\n "model": "m",\r\n "messages": [{"role":"user","content":"\\u4f60\\ud83d\\ude00 好"}]\n}\n';
    const { response } = await callWeir("/v1/chat/completions", { secret, body });
    expect(response.status).toBe(200);
    expect(calls[0]?.body["messages"]).toEqual([{ role: "user", content: "你😀 好" }]);
  });

  it("is not taken for a browser by sec-fetch-mode without an Origin", async () => {
    using _calls = scriptUpstream(() => completion("ok"));
    expect((await chat(secret, {}, { headers: { "sec-fetch-mode": "cors" } })).response.status).toBe(200);
  });

  it("refuses a secret key sent from a browser, with a hint", async () => {
    const { response } = await chat(secret, {}, { headers: { origin: "https://app.example.com" } });
    expect(response.status).toBe(403);
    expect((await errorOf(response)).message).toContain("publishable");
  });

  it("names what is missing", async () => {
    for (const [body, param] of [
      [{ model: undefined }, "model"],
      [{ messages: undefined }, "messages"],
      [{ messages: [] }, "messages"],
      [{ messages: [{ content: "x" }] }, "messages.0.role"],
      [{ messages: "hi" }, "messages"],
    ] as const) {
      const { response } = await chat(secret, body);
      expect(response.status).toBe(400);
      expect((await errorOf(response)).param).toBe(param);
    }
  });
});

describe("a JSON schema for the answer", () => {
  const format = (schema: unknown) => ({
    response_format: { type: "json_schema", json_schema: { name: "n", schema } },
  });

  it.each([{ $ref: "#/nope" }, { pattern: "(" }, { enum: 5 }, { properties: { a: { type: "text" } } }])(
    "is refused by name when it is %j, with nothing sent",
    async (schema) => {
      using calls = scriptUpstream(() => completion("{}"));
      for (const stream of [false, true]) {
        const { response } = await chat(secret, { ...format(schema), stream });
        expect(response.status).toBe(400);
        expect((await errorOf(response)).param).toBe("response_format.json_schema.schema");
      }
      expect(calls).toHaveLength(0);
    },
  );

  it("settles the run whatever the answer is", async () => {
    for (const [schema, answer] of [
      [{ $ref: "#" }, "{}"],
      [{ type: "object", additionalProperties: false }, '{"\\ud800":1}'],
    ] as const) {
      using _calls = scriptUpstream(() => completion(answer));
      const { response, settled } = await chat(secret, format(schema));
      await settled();
      if (response.status === 200)
        expect((await storedRun(response.headers.get("x-weir-run-id")))?.["status"]).toBe("succeeded");
      else expect(response.status).toBe(400);
    }
  });

  it("says nothing of an answer that calls tools", async () => {
    const choices = [
      {
        index: 0,
        finish_reason: "tool_calls",
        message: { role: "assistant", content: null, tool_calls: [{ id: "a" }] },
      },
    ];
    using _calls = scriptUpstream(() => completion("", { choices }));
    const { response, settled } = await chat(secret, format({ type: "object" }));
    await settled();
    expect(await storedRun(response.headers.get("x-weir-run-id"))).toMatchObject({ output_valid: null });
  });
});

describe("what upstreams refuse or break", () => {
  const refusal = (status: number, headers: Record<string, string> = {}) =>
    Response.json(
      {
        error: {
          message: "no: see https://up.example/x, key sk-abcdef123456, org-Zz99Yy88",
          param: "top_p",
          code: "bad",
        },
      },
      { status, headers },
    );

  it.each([
    [400, 400, "invalid_request_error"],
    [404, 404, "invalid_request_error"],
    [422, 400, "invalid_request_error"],
    [401, 502, "api_error"],
    [402, 502, "api_error"],
    [403, 502, "api_error"],
    [429, 429, "rate_limit_error"],
    [500, 502, "api_error"],
    [503, 502, "api_error"],
    [529, 502, "api_error"],
  ])("turns %i into %i, cleaned, and records a failed run", async (status, ours, type) => {
    using calls = scriptUpstream(() => refusal(status, { "retry-after": "7" }));
    const { response, settled } = await chat(secret);
    await settled();
    expect(response.status).toBe(ours);
    const text = await response.clone().text();
    expect(text).not.toMatch(/up\.example|sk-abc|org-Zz|upstream-secret-key|upstream\.test/);
    expect((await errorOf(response)).type).toBe(type);
    expect(response.headers.get("retry-after")).toBe(status === 429 ? "7" : null);
    expect(calls).toHaveLength(1);
    const run = await storedRun(response.headers.get("x-weir-run-id"));
    expect(run?.["status"]).toBe("failed");
    expect(JSON.parse(String(run?.["attempts"]))).toMatchObject([{ status, error: run?.["error_code"] }]);
  });

  it.each([
    ["an HTML page", new Response("<html>busy</html>", { headers: { "content-type": "text/html" } })],
    ["an empty body", new Response("")],
    ["an error in a 200", Response.json({ error: { message: "overloaded" } })],
    ["no choices", Response.json({ id: "x" })],
    ["an empty choice", Response.json({ model: "m", choices: [{}] })],
    ["an error in a choice", Response.json({ choices: [{ message: { content: "" }, error: { message: "broke" } }] })],
    ["a list of errors", Response.json({ error: ["broke"], choices: [] })],
    ["a redirect", new Response(null, { status: 302, headers: { location: "http://elsewhere.test/" } })],
  ])("answers 502 for %s", async (_name, answer) => {
    using _calls = scriptUpstream(() => answer.clone());
    const { response, settled } = await chat(secret);
    await settled();
    expect(response.status).toBe(502);
    expect(await storedRun(response.headers.get("x-weir-run-id"))).toMatchObject({
      status: "failed",
      error_code: "upstream_error",
    });
  });

  it("answers 502 when the upstream cannot be reached", async () => {
    using _calls = scriptUpstream(() => {
      throw new TypeError("connect ECONNREFUSED 10.1.2.3");
    });
    const { response } = await chat(secret);
    expect(response.status).toBe(502);
    expect(await response.text()).not.toContain("10.1.2.3");
  });

  it("answers 504 when the headers do not come in time, and aborts the upstream", async () => {
    using calls = scriptUpstream(
      ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    );
    const { response } = await chat(secret, {}, { env: { UPSTREAM_HEADERS_TIMEOUT_MS: "50" } });
    expect(response.status).toBe(504);
    expect(calls[0]?.signal.aborted).toBe(true);
  });

  /** A body that breaks after its first bytes. */
  const broken = () =>
    new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(new TextEncoder().encode('{"choices":'));
        controller.error(new Error("connection reset"));
      },
    });

  it.each([200, 500])("answers 502 when a body of status %i breaks off", async (status) => {
    for (const stream of [false, true]) {
      const headers = { "content-type": "application/json" };
      using _calls = scriptUpstream(() => new Response(broken(), { status, headers }));
      const { response, settled } = await chat(secret, { stream });
      await settled();
      expect(response.status).toBe(502);
      expect(await storedRun(response.headers.get("x-weir-run-id"))).toMatchObject({ error_code: "upstream_error" });
    }
  });

  it("keeps a deeply nested answer from breaking anything", async () => {
    const nested = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    const body = `{"choices":[{"finish_reason":"stop","message":{"content":"ok","tool_calls":[{"id":"a","x":${nested}}]}}]}`;
    using _calls = scriptUpstream(() => new Response(body, { headers: { "content-type": "application/json" } }));
    const { response, settled } = await chat(secret);
    await settled();
    expect(response.status).toBe(200);
    expect(await storedRun(response.headers.get("x-weir-run-id"))).toMatchObject({ status: "succeeded" });
  });

  it("keeps an enormous model name or finish reason out of the run log", async () => {
    const huge = "x".repeat(500_000);
    const choices = [{ index: 0, finish_reason: huge, message: { role: "assistant", content: "ok" } }];
    using _calls = scriptUpstream(() => completion("ok", { model: huge, choices }));
    const { response, settled } = await chat(secret);
    await settled();
    const run = await storedRun(response.headers.get("x-weir-run-id"));
    expect(String(run?.["model_answered"])).toHaveLength(200);
    expect(String(run?.["finish_reason"])).toHaveLength(200);
  });

  it("does not take zero tokens for the count of an answer that has text", async () => {
    const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
    using _calls = scriptUpstream(() => completion("text", { usage }));
    const { response, settled } = await chat(secret, { model: "deepseek/deepseek-r1-distill-qwen-32b" });
    await settled();
    const run = await storedRun(response.headers.get("x-weir-run-id"));
    expect(run).toMatchObject({ usage_source: "unknown", cost_micros: null });
  });

  it("does not let an upstream's code or param carry anything but a name", async () => {
    const error = { message: "no", code: "upstream-secret-key@http://upstream.test", param: "http://upstream.test" };
    using _calls = scriptUpstream(() => Response.json({ error }, { status: 400 }));
    const { response } = await chat(secret);
    expect(await errorOf(response)).toEqual({
      message: "no",
      type: "invalid_request_error",
      param: null,
      code: "invalid_request",
    });
  });

  it("names the model when no upstream is configured for it", async () => {
    const { response } = await chat(secret, {}, { env: { UPSTREAM_BASE_URL: "" } });
    expect(response.status).toBe(404);
    expect(await errorOf(response)).toMatchObject({ param: "model" });
    const off = await chat(secret, { model: "sim/echo" }, { env: { SIMULATOR: "off" } });
    expect(off.response.status).toBe(404);
  });
});
