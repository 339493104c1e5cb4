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

  it.each([
    { $ref: "#/nope" },
    { pattern: "(" },
    { pattern: "^(a+)+$" },
    { enum: 5 },
    { properties: { a: { type: "text" } } },
  ])("is refused by name when it is %j, with nothing sent", async (schema) => {
    using calls = scriptUpstream(() => completion("{}"));
    for (const stream of [false, true]) {
      const { response } = await chat(secret, { ...format(schema), stream });
      expect(response.status).toBe(400);
      expect((await errorOf(response)).param).toBe("response_format.json_schema.schema");
    }
    expect(calls).toHaveLength(0);
  });

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
