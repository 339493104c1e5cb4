import { describe, expect, it } from "vitest";
import { Model } from "../../src/contract/models.ts";
import { simulatorFetch, simulatorModels } from "../../src/upstream/simulator.ts";
import { type Ask, ask, askJson, askStream, type Loose, simRequest } from "../support/simulator.ts";

const tool = {
  type: "function",
  function: { name: "lookup", parameters: { type: "object", properties: { q: { type: "string" } }, required: ["q"] } },
};
const schemaFormat = {
  type: "json_schema",
  json_schema: { name: "answer", schema: { type: "object", properties: { a: { type: "integer" } }, required: ["a"] } },
};

/** Each model with a body that shows its ability. */
const shown: [string, Ask][] = [
  ["sim/echo", { model: "sim/echo", prompt: "The weir lets water pass. 堰让水流过。" }],
  ["sim/script", { model: "sim/script", prompt: "reason thinking\nsay one\nsay  two" }],
  ["sim/reasoning", { model: "sim/reasoning" }],
  ["sim/schema with a schema", { model: "sim/schema", body: { response_format: schemaFormat } }],
  ["sim/schema with json_object", { model: "sim/schema", body: { response_format: { type: "json_object" } } }],
  ["sim/schema without a format", { model: "sim/schema" }],
  ["sim/tools with tools", { model: "sim/tools", body: { tools: [tool] } }],
  ["sim/tools without tools", { model: "sim/tools" }],
];

/** A streamed answer's first message, put together as a client would. */
function messageOf(chunks: Loose[]): Loose {
  const message: Loose = { content: "", tool_calls: [] };
  for (const { choices } of chunks) {
    const delta = choices[0]?.delta ?? {};
    if (delta.content) message.content += delta.content;
    if (delta.reasoning) message.reasoning = (message.reasoning ?? "") + delta.reasoning;
    for (const part of delta.tool_calls ?? []) {
      if (part.id) message.tool_calls[part.index] = { id: part.id, type: part.type, function: { ...part.function } };
      else message.tool_calls[part.index].function.arguments += part.function.arguments;
    }
  }
  return message;
}

describe("every model", () => {
  it.each(shown)("says the same streaming and not: %s", async (_, request) => {
    const whole = await askJson(request);
    const { chunks, done } = await askStream({
      ...request,
      body: { ...request.body, stream_options: { include_usage: true } },
    });
    const { message, finish_reason } = whole.choices[0];
    const streamed = messageOf(chunks);
    expect(done).toBe(true);
    expect(streamed.content).toBe(message.content ?? "");
    expect(streamed.reasoning).toBe(message.reasoning);
    expect(streamed.tool_calls).toEqual(message.tool_calls ?? []);
    expect(streamed.content + JSON.stringify(streamed.tool_calls)).not.toBe("[]");
    expect(chunks.at(-2).choices[0]).toMatchObject({ delta: {}, finish_reason, native_finish_reason: finish_reason });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
    expect(new Set(chunks.map((chunk) => chunk.id))).toEqual(new Set([whole.id]));
  });

  it.each(shown)("repeats itself, its id included: %s", async (_, request) => {
    const [first, second] = await Promise.all([askJson(request), askJson(request)]);
    expect({ ...second, created: 0 }).toEqual({ ...first, created: 0 });
  });

  it("answers in the shape of a chat completion", async () => {
    const response = await ask({ model: "sim/reasoning" });
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toEqual({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{24}$/),
      object: "chat.completion",
      created: expect.any(Number),
      model: "sim/reasoning",
      system_fingerprint: "weir-simulator",
      choices: [
        {
          index: 0,
          logprobs: null,
          finish_reason: "stop",
          native_finish_reason: "stop",
          message: {
            role: "assistant",
            content: "This is a simulated answer to: Hello",
            refusal: null,
            reasoning: expect.stringContaining("“Hello”"),
          },
        },
      ],
      usage: {
        prompt_tokens: 1,
        completion_tokens: expect.any(Number),
        total_tokens: expect.any(Number),
        prompt_tokens_details: null,
        completion_tokens_details: { reasoning_tokens: expect.any(Number) },
      },
    });
  });

  it("streams chunks: the role, tokens, a finish, then [DONE], with no usage unasked", async () => {
    const response = await ask({ model: "sim/echo", prompt: "Good morning", body: { stream: true } });
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const { chunks, data } = await askStream({ model: "sim/echo", prompt: "Good morning" });
    expect(chunks.map((chunk) => chunk.choices[0].delta)).toEqual([
      { role: "assistant", content: "" },
      { content: "Good" },
      { content: " mornin" },
      { content: "g" },
      {},
    ]);
    expect(chunks[0]).toMatchObject({ object: "chat.completion.chunk", system_fingerprint: "weir-simulator" });
    expect(chunks.every((chunk) => !("usage" in chunk))).toBe(true);
    expect(data.at(-1)).toBe("[DONE]");
    await response.body?.cancel();
  });
});

describe("what decides an answer", () => {
  const format = {
    type: "json_schema",
    json_schema: { name: "n", schema: { type: "integer", maximum: 1e6, minimum: 0, multipleOf: 1 } },
  };
  const drawn = async (prompt: string, body: object) => {
    const answer = await askJson({ model: "sim/schema", prompt, body: { response_format: { ...format }, ...body } });
    return answer.choices.map((choice: Loose) => choice.message.content);
  };

  it("is the seed, where there is one, so that other prompts draw the same", async () => {
    expect(await drawn("one", { seed: 7 })).toEqual(await drawn("two", { seed: 7 }));
  });

  it("is the request otherwise, so that other prompts and other seeds draw differently", async () => {
    const answers = await Promise.all([1, 2, 3, 4, 5, 6].map((seed) => drawn("one", { seed })));
    expect(new Set(answers.flat()).size).toBeGreaterThan(2);
    const prompts = await Promise.all(["a", "b", "c", "d", "e", "f"].map((prompt) => drawn(prompt, {})));
    expect(new Set(prompts.flat()).size).toBeGreaterThan(2);
  });

  it("gives each of n choices its own draw, and counts them all", async () => {
    const answers = await drawn("one", { n: 4 });
    expect(answers).toHaveLength(4);
    expect(new Set(answers).size).toBeGreaterThan(1);
    const echoed = await askJson({ model: "sim/echo", prompt: "Hello there", body: { n: 3 } });
    expect(echoed.choices.map((choice: Loose) => [choice.index, choice.message.content])).toEqual([
      [0, "Hello there"],
      [1, "Hello there"],
      [2, "Hello there"],
    ]);
    expect(echoed.usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 6, total_tokens: 8 });
  });

  it("streams n choices side by side, each with its role and finish", async () => {
    const { chunks } = await askStream({ model: "sim/echo", prompt: "Hello there", body: { n: 2 } });
    expect(chunks.map((chunk) => chunk.choices[0].index)).toEqual([0, 1, 0, 1, 0, 1, 0, 1]);
    const finished = chunks.filter((chunk) => chunk.choices[0].finish_reason === "stop");
    expect(finished.map((chunk) => chunk.choices[0].index)).toEqual([0, 1]);
  });
});

describe("refusals", () => {
  const failing = async (request: Request) => {
    const response = await simulatorFetch(request);
    return { status: response.status, ...((await response.json()) as Loose) };
  };
  const url = "https://sim.example.com/v1/chat/completions";

  it("names an unknown model as OpenAI does", async () => {
    expect(await failing(simRequest({ model: "gpt-none" }))).toEqual({
      status: 404,
      error: {
        message: "The model `gpt-none` does not exist",
        type: "invalid_request_error",
        param: "model",
        code: "model_not_found",
      },
    });
  });

  it.each([
    ["no messages", { messages: null }, "messages"],
    ["an empty list of messages", { messages: [] }, "messages"],
    ["a message without a role", { messages: [{ content: "x" }] }, "messages.0.role"],
    ["no model", { model: null }, "model"],
    ["a temperature out of range", { temperature: 3 }, "temperature"],
    ["top_logprobs without logprobs", { top_logprobs: 2 }, "top_logprobs"],
    ["too many choices", { n: 100 }, "n"],
  ])("answers %s with 400 and the field", async (_, body, param) => {
    const { status, error } = await failing(simRequest({ model: "sim/echo", body }));
    expect([status, error.type, error.param]).toEqual([400, "invalid_request_error", param]);
  });

  it("takes null as absent", async () => {
    const { status, choices } = await failing(
      simRequest({ model: "sim/echo", body: { temperature: null, stop: null } }),
    );
    expect([status, choices[0].message.content]).toEqual([200, "Hello"]);
  });

  it.each(["{", "[]", '"text"', "null", ""])("answers the body %j with 400", async (body) => {
    const { status, error } = await failing(new Request(url, { method: "POST", body }));
    expect([status, error.type]).toEqual([400, "invalid_request_error"]);
  });

  it("knows no other path or method", async () => {
    expect(await failing(new Request(url))).toMatchObject({ status: 405 });
    expect(await failing(new Request("https://sim.example.com/v1/embeddings", { method: "POST" }))).toMatchObject({
      status: 404,
    });
  });

  it("refuses a pace that is no number of milliseconds", async () => {
    const headers = { "x-sim-pace-ms": "fast" };
    expect(await failing(new Request(url, { method: "POST", headers, body: "{}" }))).toMatchObject({ status: 400 });
  });
});

describe("catalogue", () => {
  it("lists the same models over HTTP and to weir, marked as simulated and free of charge", async () => {
    const response = await simulatorFetch(new Request("https://any.example.com/base/models"));
    const { object, data } = (await response.json()) as Loose;
    expect(object).toBe("list");
    expect(data.map((model: Loose) => model.id)).toEqual(simulatorModels.map((model) => model.id));
    expect(data.map((model: Loose) => model.id)).toEqual([
      "sim/echo",
      "sim/script",
      "sim/reasoning",
      "sim/schema",
      "sim/tools",
    ]);
    for (const model of simulatorModels) {
      expect(Model.parse(model)).toMatchObject({
        simulated: true,
        upstream: "sim",
        price: { inputMicrosPerMillion: 0, outputMicrosPerMillion: 0, currency: "CNY" },
      });
    }
  });
});
