import OpenAI, { APIError, AuthenticationError, BadRequestError, NotFoundError } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let client: OpenAI;

beforeAll(async () => {
  server = await startTestServer();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: server.secretKey, maxRetries: 0 });
});
afterAll(() => server[Symbol.asyncDispose]());

const said = (content: string) => [{ role: "user" as const, content }];

describe("the openai SDK with only base URL and key replaced", () => {
  it("gets a whole completion with usage", async () => {
    const answer = await client.chat.completions.create({ model: "sim/echo", messages: said("你好, weir!") });
    expect(answer.choices[0]?.message.content).toBe("你好, weir!");
    expect(answer.usage?.total_tokens).toBeGreaterThan(0);
    expect(answer.system_fingerprint).toBe("weir-simulator");
  });

  it("streams the same text in several chunks, with the usage it asked for", async () => {
    const stream = await client.chat.completions.create({
      model: "sim/echo",
      messages: said("一二三 four five 🎉"),
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let chunks = 0;
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      chunks++;
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe("一二三 four five 🎉");
    expect(chunks).toBeGreaterThan(4);
    expect(usage?.completion_tokens).toBeGreaterThan(0);
  });

  it("assembles streamed tool calls", async () => {
    const stream = client.chat.completions.stream({
      model: "sim/tools",
      messages: said("weather in Delft?"),
      tools: [
        {
          type: "function",
          function: {
            name: "weather",
            parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
          },
        },
      ],
    });
    const answer = await stream.finalChatCompletion();
    const call = answer.choices[0]?.message.tool_calls?.[0];
    expect(answer.choices[0]?.finish_reason).toBe("tool_calls");
    expect(call?.type === "function" && JSON.parse(call.function.arguments)).toHaveProperty("city");
  });

  it("parses JSON-schema output", async () => {
    const answer = await client.chat.completions.parse({
      model: "sim/schema",
      messages: said("an invoice"),
      response_format: {
        type: "json_schema",
        json_schema: {
          name: "invoice",
          strict: true,
          schema: {
            type: "object",
            properties: { total: { type: "number" }, currency: { type: "string", enum: ["CNY", "EUR"] } },
            required: ["total", "currency"],
            additionalProperties: false,
          },
        },
      },
    });
    expect(answer.choices[0]?.message.parsed).toMatchObject({
      total: expect.any(Number),
      currency: expect.stringMatching(/^(CNY|EUR)$/),
    });
  });

  it("gets logprobs when it asks", async () => {
    const answer = await client.chat.completions.create({
      model: "sim/echo",
      messages: said("one two"),
      logprobs: true,
      top_logprobs: 2,
    });
    expect(answer.choices[0]?.logprobs?.content?.[0]?.top_logprobs).toHaveLength(2);
  });

  it("lists and fetches models", async () => {
    const ids = (await client.models.list()).data.map((model) => model.id);
    expect(ids).toContain("sim/echo");
    expect((await client.models.retrieve("sim/echo")).id).toBe("sim/echo");
    await expect(client.models.retrieve("nobody/knows")).rejects.toBeInstanceOf(NotFoundError);
  });

  it("throws its own error classes, with the parameter", async () => {
    const wrongKey = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "sk-wrong", maxRetries: 0 });
    await expect(wrongKey.models.list()).rejects.toBeInstanceOf(AuthenticationError);
    const badParameter = client.chat.completions.create({ model: "sim/echo", messages: said("x"), temperature: 3 });
    await expect(badParameter).rejects.toBeInstanceOf(BadRequestError);
    await expect(badParameter).rejects.toMatchObject({ status: 400, param: "temperature" });
    const noModel = client.chat.completions.create({ model: "sim/nothing", messages: said("x") });
    await expect(noModel).rejects.toBeInstanceOf(NotFoundError);
  });

  it("throws in the middle of a stream that breaks, instead of ending as if it were whole", async () => {
    const stream = await client.chat.completions.create({
      model: "sim/script",
      messages: said("say before\nerror it broke"),
      stream: true,
    });
    let text = "";
    const read = async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    };
    await expect(read()).rejects.toBeInstanceOf(APIError);
    expect(text).toContain("before");
  });

  it("runs a stored template by extra field, and by model name with the variables as metadata", async () => {
    const byField = await client.chat.completions.create({
      // @ts-expect-error: weir's own field
      prompt: { id: "greeting", variables: { name: "Ada" } },
      model: "sim/echo",
    });
    expect(byField.choices[0]?.message.content).toContain("Ada");
    const byModel = await client.chat.completions.create({
      model: "template:greeting@production",
      messages: [],
      metadata: { name: "Ada" },
    });
    expect(byModel.choices[0]?.message.content).toContain("Ada");
  });

  it("keeps reasoning under the upstream's own name", async () => {
    const answer = await client.chat.completions.create({ model: "sim/reasoning", messages: said("why?") });
    expect(answer.choices[0]?.message).toHaveProperty("reasoning");
  });
});
