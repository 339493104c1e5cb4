import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { callWeir, chat, completion, delta, event, events, scriptUpstream, storedRun } from "../support/call.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});

// A circuit lives as long as the isolate: each test has an upstream of its own.
let count = 0;
let settings: Record<string, string>;
beforeEach(() => {
  const UPSTREAM_BASE_URL = `http://upstream${++count}.test/v1`;
  settings = {
    UPSTREAM_BASE_URL,
    UPSTREAM_ATTEMPTS: "3",
    UPSTREAM_RETRY_PAUSE_MS: "1",
    UPSTREAM_CIRCUIT_FAILURES: "8",
  };
});

const done = event("[DONE]");
const refused = (status: number, headers: Record<string, string> = {}) =>
  Response.json({ error: { message: "not now" } }, { status, headers });
const call = (body: Record<string, unknown> = {}, more: Record<string, string> = {}) =>
  chat(secret, body, { env: { ...settings, ...more } });

async function attemptsOf(
  response: Response,
): Promise<{ model: string; status: number | null; error: string | null }[]> {
  const run = await storedRun(response.headers.get("x-weir-run-id"));
  return JSON.parse(String(run?.["attempts"]));
}

describe.each([false, true])("before the first byte (stream: %s)", (stream) => {
  const good = () => (stream ? events(delta("ok"), delta("", "stop"), done) : completion("ok"));

  it("the fallback models are tried in order, and the answer says which one answered", async () => {
    using sent = scriptUpstream(({ body }) =>
      body["model"] === "third" ? good() : refused(body["model"] === "second" ? 401 : 500),
    );
    const { response, settled } = await call({ stream, model: "first", fallbacks: ["second", "third", "fourth"] });
    expect(response.headers.get("x-weir-model")).toBe("third");
    await response.text();
    await settled();
    expect(sent.map(({ body }) => body["model"])).toEqual(["first", "first", "first", "second", "third"]);
    expect(sent.every(({ body }) => !("fallbacks" in body))).toBe(true);
    expect(await attemptsOf(response)).toHaveLength(5);
    const run = await storedRun(response.headers.get("x-weir-run-id"));
    expect(run).toMatchObject({ status: "succeeded", model_asked: "first" });
  });

  it("a model that is silent is left for the next one", async () => {
    using sent = scriptUpstream(({ body, signal }) => {
      if (body["model"] === "second") return good();
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    });
    const { response } = await call({ stream, fallbacks: ["second"], timeouts: { headersMs: 100 } });
    expect(response.status).toBe(200);
    expect(await response.text()).toContain("ok");
    expect(sent).toHaveLength(2);
    expect(sent[0]?.signal.aborted).toBe(true);
  });

  it("an error that the caller must mend stops the trying", async () => {
    using sent = scriptUpstream(() => refused(400));
    expect((await call({ stream, fallbacks: ["second"] })).response.status).toBe(400);
    expect(sent).toHaveLength(1);
  });

  it("the total time bounds all attempts together", async () => {
    using _sent = scriptUpstream(() => refused(429, { "retry-after": "9" }));
    const { response } = await call({ stream, timeouts: { totalMs: 200 } });
    expect(response.status).toBe(504);
  });
});

describe("a stream", () => {
  it("is tried again when its first event is an error, and never after a byte went out", async () => {
    let calls = 0;
    using sent = scriptUpstream(() => {
      if (++calls === 1) return events(event({ error: { message: "overloaded", code: 503 } }));
      return events(delta("part"));
    });
    const { response, settled } = await call({ stream: true });
    const text = await response.text();
    await settled();
    expect(text.startsWith(delta("part"))).toBe(true);
    expect(text).toContain("upstream_error");
    expect(sent).toHaveLength(2);
  });
});

describe("the circuit of an upstream", () => {
  it("opens after failures in a row, answers 503 without a call, and lets fallbacks elsewhere stand in", async () => {
    using sent = scriptUpstream(() => refused(500));
    for (let i = 0; i < 8; i++) expect((await call({}, { UPSTREAM_ATTEMPTS: "1" })).response.status).toBe(502);
    expect(sent).toHaveLength(8);
    const { response } = await call();
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("10");
    expect(sent).toHaveLength(8);
    const other = await call({ fallbacks: ["sim/echo"] });
    expect(other.response.status).toBe(200);
    expect(other.response.headers.get("x-weir-model")).toBe("sim/echo");
  });

  it("is not opened by refused credentials", async () => {
    using sent = scriptUpstream(() => refused(401));
    for (let i = 0; i < 10; i++) await call({}, { UPSTREAM_ATTEMPTS: "1" });
    expect(sent).toHaveLength(10);
  });

  it("stays closed while the upstream answers at all, if only to complain", async () => {
    using sent = scriptUpstream(() => refused(sent.length % 4 === 0 ? 400 : 500));
    for (let i = 0; i < 20; i++) await call({}, { UPSTREAM_ATTEMPTS: "1" });
    expect(sent).toHaveLength(20);
  });
});

describe("timers", () => {
  it.each([
    [{ headersMs: 1 }, "timeouts.headersMs"],
    [{ totalMs: 3_600_001 }, "timeouts.totalMs"],
    [{ oddMs: 500 }, "timeouts.oddMs"],
  ])("%j are refused by name", async (timeouts, param) => {
    const { response } = await call({ timeouts });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { param } });
  });

  it("of a template hold for its runs, and the request's own go before them", async () => {
    const content = { messages: [{ role: "user", content: "x" }], model: "m", timeouts: { headersMs: 100 } };
    await callWeir("/trpc/templates.create", { secret, body: { name: `timed${count}`, content } });
    using _sent = scriptUpstream(async () => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      return completion("ok");
    });
    const body = { prompt: { id: `timed${count}` } };
    const run = (more: object) =>
      callWeir("/v1/chat/completions", { secret, body: { ...body, ...more }, env: settings });
    expect((await run({})).response.status).toBe(504);
    expect((await run({ timeouts: { headersMs: 2_000 } })).response.status).toBe(200);
  });
});

describe("cost to the caller", () => {
  const model = "deepseek/deepseek-r1-distill-qwen-32b";

  it("stands in the usage of a whole answer, every other byte as it came", async () => {
    const upstream = completion("ok");
    const text = await upstream.clone().text();
    using _sent = scriptUpstream(() => upstream);
    const { response } = await call({ model });
    const answered = await response.text();
    expect(JSON.parse(answered).usage).toMatchObject({ total_tokens: 81, cost: 0.000304, cost_currency: "CNY" });
    expect(answered.replace(',"cost":0.000304,"cost_currency":"CNY"', "")).toBe(text);
  });

  it("stands in the usage chunk that was asked for", async () => {
    const usage = event({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 72, total_tokens: 81 } });
    using _sent = scriptUpstream(() => events(delta("ok", "stop"), usage, done));
    const { response } = await call({ model, stream: true, stream_options: { include_usage: true } });
    expect(await response.text()).toContain('"total_tokens":81,"cost":0.000304,"cost_currency":"CNY"}');
  });

  it("is absent where the price is unknown", async () => {
    using _sent = scriptUpstream(() => completion("ok"));
    expect(await (await call({ model: "vendor/unpriced" })).response.text()).not.toContain("cost");
  });
});
