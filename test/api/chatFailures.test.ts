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
