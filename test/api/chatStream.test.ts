import { beforeAll, describe, expect, it } from "vitest";
import { chat, delta, event, events, scriptUpstream, storedContents, storedRun, usageEvent } from "../support/call.ts";
import { controlled } from "../support/faults.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});

const done = event("[DONE]");
const stream = (body: Record<string, unknown> = {}, vars: Record<string, string> = {}) =>
  chat(secret, { stream: true, ...body }, { env: vars });

describe("a streamed completion", () => {
  it("relays the upstream's bytes and leaves a run with its figures", async () => {
    using calls = scriptUpstream(() => events(delta("你"), delta("好"), delta("", "stop"), usageEvent, done));
    const { response, settled } = await stream();
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(response.headers.get("cache-control")).toContain("no-transform");
    expect(await response.text()).toBe(delta("你") + delta("好") + delta("", "stop") + done);
    expect(calls[0]?.body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
    await settled();
    const id = response.headers.get("x-weir-run-id");
    const run = await storedRun(id);
    expect(run).toMatchObject({ status: "succeeded", stream: 1, prompt_tokens: 3, completion_tokens: 2, malformed: 0 });
    expect(run?.["first_token_ms"]).toEqual(expect.any(Number));
    expect((await storedContents(id))?.answer).toContain("你好");
  });

  it("shows the usage chunk to a client that asked for it, with its other stream options kept", async () => {
    using calls = scriptUpstream(() => events(delta("a", "stop"), usageEvent, done));
    const { response } = await stream({ stream_options: { include_usage: true, odd: 1 } });
    expect(await response.text()).toContain(usageEvent);
    expect(calls[0]?.body["stream_options"]).toEqual({ include_usage: true, odd: 1 });
  });

  it("sends each event when it comes", async () => {
    const upstream = controlled();
    using _calls = scriptUpstream(() => upstream.response);
    upstream.send(delta("a"));
    const { response } = await stream();
    const reader = response.body?.getReader();
    const read = async () => new TextDecoder().decode((await reader?.read())?.value);
    expect(await read()).toBe(delta("a"));
    upstream.send(delta("b").slice(0, 10));
    upstream.send(delta("b").slice(10));
    expect(await read()).toBe(delta("b"));
    upstream.send(delta("", "stop") + done);
    expect(await read()).toBe(delta("", "stop") + done);
    expect((await reader?.read())?.done).toBe(true);
  });

  it("tells an error that comes first by status", async () => {
    using _calls = scriptUpstream(() => events(": hello\n\n", event({ error: { message: "overloaded" } })));
    const { response, settled } = await stream();
    await settled();
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { message: "overloaded", type: "api_error" } });
    expect(await storedRun(response.headers.get("x-weir-run-id"))).toMatchObject({ status: "failed" });
  });

  it("passes an upstream's complaint about the request on as the caller's error, first in a stream too", async () => {
    const error = { message: "context too long", type: "invalid_request_error", code: 400 };
    using _calls = scriptUpstream(() => events(event({ error })));
    const { response } = await stream();
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { message: "context too long", type: "invalid_request_error" },
    });
  });

  it("commits the status when the first event is slow, and keeps the line alive with comments", async () => {
    const upstream = controlled();
    using _calls = scriptUpstream(() => upstream.response);
    const { response } = await stream({}, { FIRST_EVENT_HOLD_MS: "50" });
    expect(response.status).toBe(200);
    const reader = response.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(":\n\n");
    upstream.send(delta("a", "stop") + done);
    upstream.close();
    let rest = "";
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read())
      rest += new TextDecoder().decode(part.value);
    expect(rest.replaceAll(":\n\n", "")).toBe(delta("a", "stop") + done);
  });

  it("commits the status while the upstream's headers are slow, and tells a late refusal as an error event", async () => {
    const answers: (() => Response)[] = [
      () => events(delta("a", "stop"), done),
      () => Response.json({}, { status: 503 }),
    ];
    for (const answer of answers) {
      const late = Promise.withResolvers<Response>();
      using _calls = scriptUpstream(() => late.promise);
      const { response, settled } = await stream({}, { FIRST_EVENT_HOLD_MS: "50" });
      expect(response.status).toBe(200);
      late.resolve(answer());
      const text = await response.text();
      await settled();
      expect(text.includes("[DONE]")).toBe(answer === answers[0]);
      const run = await storedRun(response.headers.get("x-weir-run-id"));
      expect(run?.["status"]).toBe(answer === answers[0] ? "succeeded" : "failed");
    }
  });

  it("settles a run whose client takes nothing, when its total time is over", async () => {
    const upstream = controlled();
    using _calls = scriptUpstream(() => upstream.response);
    upstream.send(delta("a"));
    const { response } = await stream({}, { UPSTREAM_TOTAL_TIMEOUT_MS: "200" });
    const id = response.headers.get("x-weir-run-id");
    await expect.poll(async () => (await storedRun(id))?.["status"]).toBe("failed");
    expect(await storedRun(id)).toMatchObject({ error_code: "upstream_timeout" });
    await response.body?.cancel().catch(() => {});
  });

  it("ends at its total time however lively it is", async () => {
    const upstream = controlled();
    using _calls = scriptUpstream(() => upstream.response);
    upstream.send(delta("a"));
    const ticking = setInterval(() => upstream.send(delta("b")), 20);
    const { response } = await stream({}, { UPSTREAM_TOTAL_TIMEOUT_MS: "300" });
    const text = await response.text();
    clearInterval(ticking);
    expect(text).toContain("upstream_timeout");
  });
});

describe("without waiting for D1", () => {
  /** A database that never answers. */
  const silent = new Proxy({} as D1Database, {
    get: () => () => {
      const statement: unknown = new Proxy(() => statement, {
        get: (_target, name) =>
          name === "then" ? undefined : () => (name === "bind" ? statement : new Promise(() => {})),
      });
      return statement;
    },
  });

  it("a warm request reaches the upstream and streams its answer", async () => {
    using calls = scriptUpstream(() => events(delta("a"), delta("", "stop"), done));
    // The first request warms the isolate's memory of the key.
    await (await stream()).response.text();
    const { response } = await chat(secret, { stream: true }, { env: { DB: silent } });
    expect(await response.text()).toBe(delta("a") + delta("", "stop") + done);
    expect(calls).toHaveLength(2);
  });

  it("a cold one answers 503 with Retry-After when D1 fails, and calls no upstream", async () => {
    const { secret: cold } = await insertTestProject();
    using calls = scriptUpstream(() => events(delta("a", "stop"), done));
    const failing = new Proxy({} as D1Database, {
      get: () => () => {
        throw new Error("D1_ERROR: overloaded");
      },
    });
    const { response } = await chat(cold, { stream: true }, { env: { DB: failing } });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(calls).toHaveLength(0);
  });
});
