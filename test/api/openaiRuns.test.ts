import { beforeEach, describe, expect, it } from "vitest";
import type { RunObject } from "../../src/contract/openaiRuns.ts";
import {
  callWeir,
  chat,
  completion,
  delta,
  event,
  events,
  scriptUpstream,
  storedRun,
  usageEvent,
} from "../support/call.ts";
import { controlled } from "../support/faults.ts";
import { heldUpstream } from "../support/jobs.ts";
import { accepted, background, contentOf, follow, getRun, reading } from "../support/openaiRuns.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const hello = () => events(delta("Hel"), delta("lo"), delta("", "stop"), usageEvent, event("[DONE]"));
const errorOf = async (response: Response) => ((await response.json()) as { error: object }).error;

describe("POST /v1/chat/completions with background: true", () => {
  it("answers 202 with the run, which is run and put on record as the door's", async () => {
    using sent = scriptUpstream(hello);
    const response = await background(project, { metadata: { team: "a" }, temperature: 0.5 });
    expect(response.status).toBe(202);
    const run = (await response.json()) as RunObject;
    expect(run).toMatchObject({
      id: expect.stringMatching(/^run_/),
      object: "chat.completion.run",
      status: "queued",
      model: "test-model",
      metadata: { team: "a" },
      answer: null,
      error: null,
      completed_at: null,
    });
    expect(Math.abs(run.created_at - Date.now() / 1000)).toBeLessThan(60);
    expect(response.headers.get("x-weir-run-id")).toBe(run.id);
    expect(response.headers.get("location")).toBe(`/v1/runs/${run.id}`);
    await expect.poll(() => storedRun(run.id)).toMatchObject({ status: "succeeded", source: "openai" });
    expect(sent[0]?.body).toMatchObject({ model: "test-model", temperature: 0.5, stream: true });
  });

  it("keeps the job's options from the upstream", async () => {
    using sent = scriptUpstream(hello);
    const options = { priority: 5, delay_ms: 0, deadline_ms: 60_000, on_interrupt: "restart", n: null };
    const runId = await accepted(project, { ...options, top_k: 3, unheard_of: 1 });
    await expect.poll(() => storedRun(runId)).toMatchObject({ status: "succeeded" });
    const fields = Object.keys(sent[0]?.body ?? {}).sort();
    expect(fields).toEqual(["messages", "model", "stream", "stream_options", "top_k", "unheard_of"]);
  });

  it("starts no earlier than it was asked to", async () => {
    using sent = scriptUpstream(hello);
    const runId = await accepted(project, { run_at: new Date(Date.now() + 3_600_000).toISOString() });
    expect(await getRun(project, runId)).toMatchObject({ status: "queued", answer: null, attempts: [] });
    expect(sent).toHaveLength(0);
  });

  it.each([
    ["priority", { priority: 1_000 }],
    ["delay_ms", { delay_ms: -1 }],
    ["run_at", { run_at: "soon" }],
    ["run_at", { run_at: "2999-01-01T00:00:00Z" }],
    ["run_at", { run_at: "2026-01-01T00:00:00Z", delay_ms: 1 }],
    ["deadline_ms", { deadline_ms: 1 }],
    ["on_interrupt", { on_interrupt: "panic" }],
    ["callback.events.0", { callback: { endpoint_id: "end_1", events: ["run.began"] } }],
    ["callback", { background: false, callback: { endpoint_id: "end_1" } }],
    ["n", { n: 2 }],
    ["background", { background: "yes" }],
    ["delay_ms", { background: false, delay_ms: 1_000 }],
    ["on_interrupt", { background: null, on_interrupt: "keep" }],
    ["model", { model: "nobody/knows", fallbacks: [], messages: undefined }],
  ])("refuses what makes no sense by the name of %s", async (param, body) => {
    using sent = scriptUpstream(hello);
    const response = await background(project, body);
    expect([400, 404]).toContain(response.status);
    if (param !== "model") expect(await errorOf(response)).toMatchObject({ code: "invalid_request", param });
    expect(sent).toHaveLength(0);
  });

  it("is a relay when it is false, and the upstream hears nothing of it", async () => {
    using sent = scriptUpstream(() => completion("at once"));
    const { response, settled } = await chat(project.secret, { background: false });
    expect(await response.json()).toMatchObject({ object: "chat.completion" });
    await settled();
    expect(sent[0]?.body).not.toHaveProperty("background");
  });

  it("streams the run's events at once with stream: true, under an id that resumes them", async () => {
    using sent = scriptUpstream(hello);
    const response = await background(project, { stream: true, stream_options: { include_usage: true } });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const runId = response.headers.get("x-weir-run-id") ?? "";
    await using stream = reading(response);
    const told = await stream.rest();
    expect(contentOf(told)).toBe("Hello");
    expect(told.at(-1)?.data).toBe("[DONE]");
    await using again = await follow(project, runId);
    expect(await again.rest()).toEqual(told);
    expect(sent).toHaveLength(1);
  });
});

describe("Idempotency-Key on a background run", () => {
  it("is the job's: 20 at once are one run, one upstream call, 20 equal answers", async () => {
    using sent = scriptUpstream(hello);
    const headers = { "idempotency-key": "one" };
    const answers = await Promise.all(Array.from({ length: 20 }, () => background(project, {}, headers)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
    const bodies = await Promise.all(answers.map((answer) => answer.text()));
    expect(new Set(bodies).size).toBe(1);
    const { id } = JSON.parse(bodies[0] ?? "") as RunObject;
    await expect.poll(() => storedRun(id)).toMatchObject({ status: "succeeded" });
    expect(sent).toHaveLength(1);
  });

  it("refuses another body under it", async () => {
    using _sent = scriptUpstream(hello);
    const headers = { "idempotency-key": "two" };
    const first = (await (await background(project, {}, headers)).json()) as RunObject;
    await expect.poll(() => storedRun(first.id)).toMatchObject({ status: "succeeded" });
    const response = await background(project, { temperature: 1 }, headers);
    expect(response.status).toBe(409);
    expect(response.headers.get("x-weir-run-id")).toBe(first.id);
    expect(await errorOf(response)).toMatchObject({
      code: "conflict",
      param: "Idempotency-Key",
      message: expect.stringMatching(/^Idempotency-Key:/),
    });
  });

  it("is refused by name when it is none", async () => {
    const response = await background(project, {}, { "idempotency-key": "clé" });
    expect(await errorOf(response)).toMatchObject({ param: "Idempotency-Key" });
  });
});

describe("GET /v1/runs/{id}", () => {
  it("shows the text so far while it runs, and the whole completion at its end", async () => {
    const upstream = heldUpstream();
    using _sent = scriptUpstream(() => upstream.answer());
    const runId = await accepted(project);
    upstream.send(delta("Hel"));
    const partial = { choices: [{ message: { role: "assistant", content: "Hel" }, finish_reason: null }], usage: null };
    await expect
      .poll(() => getRun(project, runId))
      .toMatchObject({ status: "running", answer: partial, error: null, completed_at: null });
    upstream.send(delta("lo") + delta("", "stop") + usageEvent + event("[DONE]"));
    upstream.close();
    await expect.poll(async () => (await getRun(project, runId)).status).toBe("succeeded");
    const run = await getRun(project, runId);
    const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
    expect(run).toMatchObject({
      id: runId,
      model: "test-model",
      usage,
      error: null,
      attempts: [{ model: "test-model", status: 200, error: null, started_ms: expect.any(Number) }],
    });
    expect(run.completed_at).toBeGreaterThanOrEqual(run.created_at);
    expect(run.answer).toEqual({
      id: runId,
      object: "chat.completion",
      created: run.created_at,
      model: "vendor/answered",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Hello", refusal: null },
          finish_reason: "stop",
          logprobs: null,
        },
      ],
      usage,
    });
  });

  it("shows why it failed, in OpenAI's shape", async () => {
    using _sent = scriptUpstream(() => Response.json({ error: { message: "no" } }, { status: 400 }));
    const runId = await accepted(project);
    await expect.poll(async () => (await getRun(project, runId)).status).toBe("failed");
    expect(await getRun(project, runId)).toMatchObject({
      answer: null,
      error: { type: "invalid_request_error", code: "invalid_request", param: null, message: expect.any(String) },
      attempts: [{ status: 400, error: "invalid_request" }],
    });
  });

  it("shows a relayed run too, while it runs without its answer", async () => {
    const upstream = controlled();
    using _sent = scriptUpstream(() => upstream.response);
    upstream.send(delta("relayed"));
    const { response, settled } = await chat(project.secret, { stream: true });
    const runId = response.headers.get("x-weir-run-id") ?? "";
    const text = response.text();
    await expect.poll(() => storedRun(runId)).toMatchObject({ status: "running" });
    expect(await getRun(project, runId)).toMatchObject({ status: "running", answer: null });
    const watched = await callWeir(`/v1/runs/${runId}/events`, { secret: project.secret });
    expect(watched.response.status).toBe(409);
    expect(await errorOf(watched.response)).toMatchObject({ code: "conflict", param: "id" });
    upstream.send(delta("", "stop") + event("[DONE]"));
    upstream.close();
    await text;
    await settled();
    expect(await getRun(project, runId)).toMatchObject({
      status: "succeeded",
      answer: { choices: [{ message: { content: "relayed" }, finish_reason: "stop" }] },
    });
  });
});

describe("POST /v1/runs/{id}/cancel", () => {
  it("ends the run with what has arrived, closes the upstream, and may be repeated", async () => {
    const upstream = heldUpstream();
    using sent = scriptUpstream(() => upstream.answer());
    const runId = await accepted(project);
    await using stream = await follow(project, runId);
    upstream.send(delta("par"));
    expect(await stream.next()).toMatchObject({
      data: { choices: [{ delta: { role: "assistant", content: "par" } }] },
    });
    for (let time = 0; time < 2; time++) {
      const { response } = await callWeir(`/v1/runs/${runId}/cancel`, { secret: project.secret, method: "POST" });
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({
        id: runId,
        status: "cancelled",
        error: { code: "cancelled" },
        answer: { choices: [{ message: { content: "par" }, finish_reason: null }] },
      });
    }
    expect(sent[0]?.signal.aborted).toBe(true);
    const rest = await stream.rest();
    expect(rest).toMatchObject([{ data: { status: "cancelled", error: { code: "cancelled", type: "api_error" } } }]);
  });
});
