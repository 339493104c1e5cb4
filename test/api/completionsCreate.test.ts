import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { callWeir, chat, completion, scriptUpstream, storedRun } from "../support/call.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;

type Answer = {
  result?: { data: Record<string, unknown> };
  error?: { message: string; data: { weir: { code: string; param: string } } };
};

async function mutate(path: string, input: object): Promise<Answer> {
  const { response, settled } = await callWeir(`/trpc/${path}`, { secret, body: input });
  const answer = (await response.json()) as Answer;
  await settled();
  return answer;
}

const schema = {
  type: "object",
  properties: { total: { type: "integer" } },
  required: ["total"],
  additionalProperties: false,
};

beforeAll(async () => {
  ({ secret } = await insertTestProject());
  const content = {
    messages: [{ role: "user", content: "{{text}}" }],
    model: "vendor/bills",
    responseFormat: { type: "json_schema", json_schema: { name: "bill", schema } },
  };
  await mutate("templates.create", { name: "bill", content });
});

describe("completions.create", () => {
  it("returns the parsed output of a JSON-schema template, and says on the run that it fits", async () => {
    using _calls = scriptUpstream(() => completion('{"total": 42}'));
    const { result } = await mutate("completions.create", { template: "bill", variables: { text: "x" } });
    expect(result?.data).toMatchObject({
      output: { total: 42 },
      finishReason: "stop",
      usage: { completionTokens: 72 },
    });
    expect(await storedRun(String(result?.data["runId"]))).toMatchObject({ output_valid: 1, source: "trpc" });
  });

  it.each([
    ["not JSON", "no idea", ""],
    ["of another shape", '{"total": "much"}', "total"],
  ])("says why an answer that is %s does not fit", async (_name, content, path) => {
    using _calls = scriptUpstream(() => completion(content));
    const { result } = await mutate("completions.create", { template: "bill", variables: { text: "x" } });
    expect(result?.data).not.toHaveProperty("output");
    expect(result?.data["outputInvalid"]).toMatchObject({ path });
    expect(await storedRun(String(result?.data["runId"]))).toMatchObject({ output_valid: 0, status: "succeeded" });
  });

  it("runs plain messages, and requires a model for them", async () => {
    using _calls = scriptUpstream(() => completion("plain"));
    const messages = [{ role: "user", content: "x" }];
    expect((await mutate("completions.create", { messages, model: "m" })).result?.data["content"]).toBe("plain");
    expect((await mutate("completions.create", { messages })).error?.data.weir).toMatchObject({ param: "model" });
  });

  it("refuses what no door takes: top_logprobs alone, an unusable schema, a template as a model", async () => {
    const refusal = async (input: object) => (await mutate("completions.create", input)).error?.data.weir.param;
    const base = { messages: [{ role: "user", content: "x" }], model: "m" };
    expect(await refusal({ ...base, params: { top_logprobs: 3 } })).toBe("top_logprobs");
    const schema = { type: "json_schema", json_schema: { name: "n", schema: { $ref: "#/nope" } } };
    expect(await refusal({ ...base, params: { response_format: schema } })).toBe("response_format.json_schema.schema");
    expect(await refusal({ ...base, model: "template:bill" })).toBe("model");
  });

  it("keeps a cost on record when the price could be read neither for the answer nor at once after it", async () => {
    using _calls = scriptUpstream(() => completion("ok"));
    const fresh = await insertTestProject();
    let failures = 0;
    const DB = new Proxy(env.DB, {
      get(target, name) {
        if (name !== "prepare") return Reflect.get(target, name).bind(target);
        return (sql: string) => {
          if (sql.includes("model_prices") && failures++ < 2) throw new Error("D1_ERROR: overloaded");
          return target.prepare(sql);
        };
      },
    });
    const { response, settled } = await chat(
      fresh.secret,
      { model: "deepseek/deepseek-r1-distill-qwen-32b" },
      { env: { DB } },
    );
    await settled();
    expect(failures).toBe(3);
    expect(await storedRun(response.headers.get("x-weir-run-id"))).toMatchObject({ cost_micros: 304 });
  });

  it("names the run in the error when the upstream fails", async () => {
    using _calls = scriptUpstream(() => Response.json({ error: { message: "busy" } }, { status: 503 }));
    const { error } = await mutate("completions.create", { template: "bill", variables: { text: "x" } });
    expect(error?.data.weir).toMatchObject({
      code: "upstream_error",
      details: { runId: expect.stringMatching(/^run_/) },
    });
  });
});
