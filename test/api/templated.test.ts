import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { callWeir, chat, completion, delta, event, events, scriptUpstream, storedRun } from "../support/call.ts";
import { costOf, meteredD1 } from "../support/meteredD1.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";

let owner: TestKey;
let secret: string;

beforeAll(async () => {
  owner = await insertTestProject();
  ({ secret } = owner);
  const create = (name: string, content: object, listed = false) =>
    callWeir("/trpc/templates.create", { secret, body: { name, content, listed } });
  await create("sig", { text: "Yours, {{who}}" });
  await create(
    "letter",
    {
      messages: [
        { role: "system", content: "Write {{count}} lines. {{> sig}}" },
        { type: "placeholder", name: "history" },
        { role: "user", content: "{{text}}" },
      ],
      variables: {
        type: "object",
        properties: {
          text: { type: "string" },
          who: { type: "string", default: "weir" },
          count: { type: "integer", default: 3 },
        },
        required: ["text"],
        additionalProperties: false,
      },
      model: "vendor/letters",
      params: { temperature: 0.2, top_p: 0.9 },
      tools: [{ type: "function", function: { name: "f" } }],
      toolChoice: "auto",
    },
    true,
  );
  await create("bill", {
    messages: [{ role: "user", content: "{{text}}" }],
    model: "vendor/bills",
  });
  await create("hollow", { messages: [{ type: "placeholder", name: "history" }], model: "m" });
  await create("modelless", { messages: [{ role: "user", content: "hi" }] });
});

describe("a stored template through the OpenAI door", () => {
  it("is rendered and sent with its model, parameters and tools", async () => {
    using calls = scriptUpstream(() => completion("ok"));
    const { response, settled } = await callWeir("/v1/chat/completions", {
      secret,
      body: { prompt: { id: "letter", variables: { text: "Hi {{who}}" } }, top_p: 0.5, odd: 1 },
    });
    await settled();
    expect(calls[0]?.body).toEqual({
      model: "vendor/letters",
      messages: [
        { role: "system", content: "Write 3 lines. Yours, weir" },
        { role: "user", content: "Hi {{who}}" },
      ],
      temperature: 0.2,
      top_p: 0.5,
      tools: [{ type: "function", function: { name: "f" } }],
      tool_choice: "auto",
      odd: 1,
    });
    const run = await storedRun(response.headers.get("x-weir-run-id"));
    expect(run).toMatchObject({
      template_name: "letter",
      template_version: 1,
      label: "production",
      model_asked: "vendor/letters",
    });
    expect(JSON.parse(String(run?.["partials"]))).toEqual([{ name: "sig", version: 1 }]);
  });

  it("takes given messages through its history placeholder", async () => {
    using calls = scriptUpstream(() => completion("ok"));
    const history = [
      { role: "user", content: "{{text}}" },
      { role: "assistant", content: "before" },
    ];
    await callWeir("/v1/chat/completions", {
      secret,
      body: { prompt: { id: "letter", variables: { text: "now" } }, messages: history },
    });
    expect(calls[0]?.body["messages"]).toEqual([
      { role: "system", content: "Write 3 lines. Yours, weir" },
      ...history,
      { role: "user", content: "now" },
    ]);
  });

  it.each([
    ["template:letter", "production"],
    ["template:letter@production", "production"],
    ["template:letter@1", null],
    ["template:letter@latest", "latest"],
  ])("is named by the model %s, with variables and notes from the metadata", async (model, label) => {
    using calls = scriptUpstream(() => completion("ok"));
    const { response, settled } = await chat(secret, {
      model,
      messages: [],
      metadata: { text: "T", count: "7", note: "n" },
    });
    await settled();
    expect(calls[0]?.body["messages"]).toEqual([
      { role: "system", content: "Write 7 lines. Yours, weir" },
      { role: "user", content: "T" },
    ]);
    const run = await storedRun(response.headers.get("x-weir-run-id"));
    expect(run).toMatchObject({ metadata: '{"note":"n"}', template_version: 1 });
    if (label !== "latest") expect(run?.["label"]).toBe(label);
  });

  it.each([
    [{ prompt: { id: "letter", variables: {} } }, 400, "prompt.variables.text"],
    [{ prompt: { id: "letter", variables: { text: 1 } } }, 400, "prompt.variables.text"],
    [{ prompt: { id: "letter", variables: { text: "x", other: 1 } } }, 400, "prompt.variables.other"],
    [{ model: "template:letter", messages: [], metadata: { count: "many", text: "x" } }, 400, "metadata.count"],
    [{ prompt: { id: "letter", version: 99, variables: { text: "x" } } }, 404, "prompt.version"],
    [{ prompt: { id: "letter", version: "staging", variables: { text: "x" } } }, 404, "prompt.version"],
    [{ prompt: { id: "nobody" } }, 404, "prompt.id"],
    [{ model: "template:nobody", messages: [] }, 404, "model"],
    [{ model: "template:letter@nothing", messages: [], metadata: { text: "x" } }, 404, "model"],
    [{ prompt: { id: "modelless" } }, 400, "model"],
    [{ prompt: { id: "hollow" } }, 400, "messages"],
    ['{"prompt":{"id":"letter","variables":{"text":"x","__proto__":1}}}', 400, "prompt.variables.__proto__"],
    [{ prompt: { id: "letter" }, model: "template:letter" }, 400, "prompt"],
    [{ prompt: { id: "Bad Name" } }, 400, "prompt.id"],
    [{ model: "template:letter@@" }, 400, "model"],
  ])("%j is refused by name, with nothing sent and nothing written", async (body, status, param) => {
    using calls = scriptUpstream(() => completion("ok"));
    const before = await env.DB.prepare("SELECT count(*) n FROM runs").first("n");
    const { response } = await callWeir("/v1/chat/completions", { secret, body });
    expect(response.status).toBe(status);
    const { error } = (await response.json()) as { error: { param: string | null } };
    expect(error.param).toBe(param);
    expect(calls).toHaveLength(0);
    expect(await env.DB.prepare("SELECT count(*) n FROM runs").first("n")).toBe(before);
  });
});

describe("a publishable key", () => {
  const origin = "https://app.example.com";
  let publishable: string;
  beforeAll(async () => {
    const made = await insertTestKey(owner.principal.projectId, { kind: "publishable", origins: [origin] });
    publishable = made.secret;
  });
  const call = (body: object) => callWeir("/v1/chat/completions", { secret: publishable, body, headers: { origin } });

  it("runs a listed template at production, readable by its own origin", async () => {
    using _calls = scriptUpstream(() => completion("ok"));
    const { response } = await call({ prompt: { id: "letter", variables: { text: "x" } } });
    expect(response.status).toBe(200);
    expect(response.headers.get("access-control-allow-origin")).toBe(origin);
  });

  it.each([
    [{ model: "m", messages: [{ role: "user", content: "x" }] }, 403],
    [{ prompt: { id: "letter", variables: { text: "x" } }, messages: [{ role: "user", content: "x" }] }, 403],
    [{ prompt: { id: "letter", version: 1, variables: { text: "x" } } }, 403],
    [{ prompt: { id: "letter", variables: { text: "x" } }, model: "other" }, 403],
    [{ prompt: { id: "letter", variables: { text: "x" } }, temperature: 2 }, 403],
    [{ prompt: { id: "letter", variables: { text: "x" } }, tools: [] }, 403],
    [{ prompt: { id: "letter", variables: { text: "x" } }, stream: true, stream_options: { evil: 1 } }, 403],
    [{ prompt: { id: "bill", variables: { text: "x" } } }, 404],
  ])("cannot do %j", async (body, status) => {
    using calls = scriptUpstream(() => completion("ok"));
    expect((await call(body)).response.status).toBe(status);
    expect(calls).toHaveLength(0);
  });
});

describe("what a run costs", () => {
  it("is at most 10 rows written, streamed or not, with template and metadata, the first of its day or not", async () => {
    const body = { prompt: { id: "letter", variables: { text: "x" } }, metadata: { customer: "c", tier: "gold" } };
    for (const stream of [true, false, true]) {
      using _calls = scriptUpstream(() =>
        stream ? events(delta("a"), delta("", "stop"), event("[DONE]")) : completion("ok"),
      );
      const metered = meteredD1(env.DB);
      const { response, settled } = await callWeir("/v1/chat/completions", {
        secret,
        body: { ...body, stream },
        env: { DB: metered },
      });
      await response.text();
      await settled();
      const { rowsWritten } = costOf(metered);
      expect(rowsWritten).toBeLessThanOrEqual(10);
      expect(rowsWritten).toBeGreaterThan(3);
    }
  });

  it("is nothing read from D1 once keys, template and prices are in the isolate's memory, but for its own record", async () => {
    using _calls = scriptUpstream(() => completion("ok"));
    const metered = meteredD1(env.DB);
    const body = { prompt: { id: "letter", variables: { text: "x" } } };
    const { response, settled } = await callWeir("/v1/chat/completions", { secret, body, env: { DB: metered } });
    await response.text();
    await settled();
    expect(metered.statements.filter(({ sql }) => !/runs|run_contents|usage_daily|run_search/.test(sql))).toEqual([]);
  });

  it("is nothing in money for the simulator, whose runs are marked", async () => {
    const { response, settled } = await chat(secret, { model: "sim/echo" }, { headers: { "x-sim-pace-ms": "0" } });
    await response.text();
    await settled();
    expect(await storedRun(response.headers.get("x-weir-run-id"))).toMatchObject({
      simulated: 1,
      cost_micros: 0,
      upstream: "sim",
    });
  });
});
