import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { callWeir, chat, completion, scriptUpstream } from "../support/call.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});

const tool = { type: "function", function: { name: "f", parameters: { type: "object" } } };
const schemaFormat = { type: "json_schema", json_schema: { name: "out", schema: { type: "object" }, strict: true } };

/** Per parameter: values that pass, the bounds included, and values just outside or of a wrong type. */
const parameters: Record<string, { good: unknown[]; bad: unknown[] }> = {
  temperature: { good: [0, 1.25, 2], bad: [-0.01, 2.01, "1"] },
  top_p: { good: [0, 1], bad: [-0.01, 1.01, true] },
  top_k: { good: [0, 1, 4_000], bad: [-1, 1.5] },
  frequency_penalty: { good: [-2, 2], bad: [-2.01, 2.01] },
  presence_penalty: { good: [-2, 2], bad: [-2.01, 2.01] },
  repetition_penalty: { good: [0, 2], bad: [-0.01, 2.01] },
  min_p: { good: [0, 1], bad: [-0.01, 1.01] },
  top_a: { good: [0, 1], bad: [-0.01, 1.01] },
  seed: { good: [-5, 0, Number.MAX_SAFE_INTEGER], bad: [0.5, "7"] },
  max_tokens: { good: [1, 100_000], bad: [0, -1, 1.5] },
  logit_bias: { good: [{}, { "50256": -100 }], bad: [[1], { a: "b" }] },
  logprobs: { good: [true, false], bad: [1, "true"] },
  top_logprobs: { good: [0, 20], bad: [-1, 21, 1.5] },
  response_format: { good: [{ type: "text" }, { type: "json_object" }, schemaFormat], bad: ["json", { type: "xml" }] },
  structured_outputs: { good: [true, false], bad: ["yes"] },
  stop: { good: ["END", ["a", "b"]], bad: [1, [1]] },
  tools: { good: [[tool]], bad: [tool, [1]] },
  tool_choice: {
    good: ["none", "auto", "required", { type: "function", function: { name: "f" } }],
    bad: ["always", 1, { type: "function" }, { type: "function", function: {} }],
  },
  parallel_tool_calls: { good: [true, false], bad: ["no"] },
  verbosity: { good: ["low", "medium", "high"], bad: ["loud", 1] },
};

/** `top_logprobs` needs `logprobs`. */
const with_ = (name: string, value: unknown) => ({ [name]: value, ...(name === "top_logprobs" && { logprobs: true }) });

describe("the optional parameters", () => {
  it("are the twenty of the reference", () => {
    expect(Object.keys(parameters)).toHaveLength(20);
  });

  it.each(Object.entries(parameters))("pass %s unchanged within its range", async (name, { good }) => {
    for (const value of good) {
      using calls = scriptUpstream(() => completion("ok"));
      const { response } = await chat(secret, with_(name, value));
      expect(response.status).toBe(200);
      expect(calls[0]?.body[name]).toEqual(value);
    }
  });

  it.each(Object.entries(parameters))(
    "refuse %s outside its range by name, with nothing sent",
    async (name, { bad }) => {
      for (const value of bad) {
        using calls = scriptUpstream(() => completion("ok"));
        const { response } = await chat(secret, with_(name, value));
        expect(response.status).toBe(400);
        const { error } = (await response.json()) as { error: { param: string; message: string; type: string } };
        expect(error.param.split(".")[0]).toBe(name);
        expect(error.message).toContain(name);
        expect(error.type).toBe("invalid_request_error");
        expect(calls).toHaveLength(0);
      }
    },
  );

  it("refuse top_logprobs without logprobs", async () => {
    const { response } = await chat(secret, { top_logprobs: 3 });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { param: "top_logprobs" } });
  });

  it("stay absent on the wire when absent", async () => {
    using calls = scriptUpstream(() => completion("ok"));
    await chat(secret);
    expect(Object.keys(calls[0]?.body ?? {}).sort()).toEqual(["messages", "model"]);
  });

  it("let any other field pass untouched, whatever JSON it holds", async () => {
    const name = fc.string({ minLength: 1 }).map((text) => `x_${text}`);
    await fc.assert(
      fc.asyncProperty(fc.dictionary(name, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 }), async (fields) => {
        // Refused by name elsewhere: NUL, half a surrogate pair, integers beyond 2^53.
        fc.pre(!/\\u|[0-9]{16}/.test(JSON.stringify(fields)));
        using calls = scriptUpstream(() => completion("ok"));
        const { response } = await chat(secret, fields);
        expect(response.status).toBe(200);
        const { model: _model, messages: _messages, ...sent } = calls[0]?.body ?? {};
        expect(sent).toEqual(JSON.parse(JSON.stringify(fields)));
      }),
      { numRuns: 60 },
    );
  });
});

describe("numbers that a double cannot hold", () => {
  it.each([
    ["seed", "9007199254740993"],
    ["seed", "-9007199254740993"],
    ["odd", "12345678901234567890"],
    ["odd", "1e999"],
  ])("are refused, not rounded: %s %s", async (name, number) => {
    using calls = scriptUpstream(() => completion("ok"));
    const body = `{"model":"m","messages":[{"role":"user","content":"x"}],"${name}":${number}}`;
    const { response } = await callWeir("/v1/chat/completions", { secret, body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { param: name } });
    expect(calls).toHaveLength(0);
  });
});
