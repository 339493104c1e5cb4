import { beforeAll, describe, expect, it } from "vitest";
import { chat, completion, scriptUpstream, storedRun } from "../support/call.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});

const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { message: string; type: string; param: string | null; code: string } }).error;

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
