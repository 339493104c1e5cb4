import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import type { CancelledJob, JobResult, JobTicket } from "../../src/contract/jobs.ts";
import { delta, event, events, scriptUpstream, storedContents, storedRun, usageEvent } from "../support/call.ts";
import { callJobs, heldUpstream, submitJob, textOf, watchJob } from "../support/jobs.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const hello = () => events(delta("Hel"), delta("lo"), delta("", "stop"), usageEvent, event("[DONE]"));
const resultOf = async (runId: string, more = {}) =>
  (await callJobs<JobResult>("result", project, { runId, ...more })).data;

describe("a job", () => {
  it("is submitted, watched to its end, and on record", async () => {
    using sent = scriptUpstream(hello);
    const ticket = await submitJob(project, { metadata: { team: "a" } });
    await using watching = await watchJob(project, ticket.runId);
    const told = await watching.rest();
    expect(told.map(({ seq }) => seq)).toEqual(told.map((_, at) => at + 1));
    expect(told.slice(0, 2)).toMatchObject([
      { type: "status", status: "queued", attempt: 0 },
      { type: "status", status: "running", attempt: 1 },
    ]);
    expect(textOf(told)).toBe("Hello");
    const done = told.at(-1);
    expect(done).toMatchObject({
      type: "done",
      run: { id: ticket.runId, status: "succeeded", metadata: { team: "a" } },
    });
    expect(sent).toHaveLength(1);
    expect(sent[0]?.body).toMatchObject({ stream: true, model: "test-model" });
    await expect.poll(() => storedRun(ticket.runId)).toMatchObject({ status: "succeeded", completion_tokens: 2 });
    expect((await storedContents(ticket.runId))?.answer).toContain("Hello");
  });

  it("tells the same run at its end as the run log does", async () => {
    using _sent = scriptUpstream(hello);
    const { runId } = await submitJob(project);
    const result = await resultOf(runId);
    await expect.poll(() => storedRun(runId)).toMatchObject({ status: "succeeded" });
    // The object has forgotten it: the same is told from the run log.
    await env.JOBS.get(env.JOBS.idFromName(runId));
    expect(result).toMatchObject({ runId, status: "succeeded", content: "Hello", run: { id: runId } });
  });

  it("tells its text, its reasoning and its tool calls in pieces", async () => {
    const piece = (fields: object) => event({ choices: [{ index: 0, delta: fields, finish_reason: null }] });
    const called = (fields: object) => piece({ tool_calls: [{ index: 0, ...fields }] });
    const upstream = heldUpstream();
    using _sent = scriptUpstream(() => upstream.answer());
    const { runId } = await submitJob(project);
    await using watching = await watchJob(project, runId);
    await watching.next();
    await watching.next();
    upstream.send(piece({ reasoning: "hm" }));
    expect(await watching.next()).toEqual({ seq: 3, type: "delta", reasoning: "hm" });
    upstream.send(called({ id: "call_1", function: { name: "look", arguments: '{"a"' } }));
    expect(await watching.next()).toMatchObject({
      toolCalls: [{ index: 0, id: "call_1", name: "look", arguments: '{"a"' }],
    });
    upstream.send(called({ function: { arguments: ":1}" } }));
    expect(await watching.next()).toMatchObject({ toolCalls: [{ index: 0, arguments: ":1}" }] });
    upstream.send(delta("", "tool_calls"), event("[DONE]"));
    upstream.close();
    await watching.rest();
    expect(await resultOf(runId)).toMatchObject({
      reasoning: "hm",
      toolCalls: [{ id: "call_1", name: "look", arguments: '{"a":1}' }],
    });
  });

  it("goes on for each watcher after the last event it has seen, however often they come back", async () => {
    const upstream = heldUpstream();
    using _sent = scriptUpstream(() => upstream.answer());
    const { runId } = await submitJob(project);
    const whole = await watchJob(project, runId);
    const pieces: Awaited<ReturnType<typeof whole.rest>> = [];
    for (const text of ["你", "好", ", ", "wörld", " 🌍"]) {
      upstream.send(delta(text));
      await using back = await watchJob(project, runId, pieces.at(-1)?.seq);
      while (!textOf(pieces).endsWith(text)) pieces.push((await back.next()) as (typeof pieces)[number]);
    }
    upstream.send(delta("", "stop"), event("[DONE]"));
    upstream.close();
    await using last = await watchJob(project, runId, pieces.at(-1)?.seq);
    pieces.push(...(await last.rest()));
    expect(pieces).toEqual(await whole.rest());
    expect(textOf(pieces)).toBe("你好, wörld 🌍");
    await using late = await watchJob(project, runId, pieces.length);
    expect(await late.rest()).toEqual([]);
  });

  it("has a parsed answer where a schema was asked for", async () => {
    using _sent = scriptUpstream(() => events(delta('{"age": 7}'), delta("", "stop"), event("[DONE]")));
    const schema = { type: "object", properties: { age: { type: "number" } }, required: ["age"] };
    const params = { response_format: { type: "json_schema", json_schema: { name: "a", schema } } };
    const { runId } = await submitJob(project, { params });
    expect(await resultOf(runId)).toMatchObject({ output: { age: 7 }, run: { outputValid: true } });
  });

  it("is not accepted, and leaves nothing, when its input is wrong", async () => {
    using sent = scriptUpstream(hello);
    const answer = await callJobs("submit", project, {
      model: "m",
      messages: [{ role: "user", content: "Hi" }],
      params: { top_logprobs: 2 },
    });
    expect(answer).toMatchObject({ status: 400, error: { code: "invalid_request" } });
    for (const input of [{ priority: 101 }, { delayMs: -1 }, { delayMs: 1, runAt: "2026-01-01T00:00:00Z" }])
      await expect(submitJob(project, input)).rejects.toThrow("invalid_request");
    expect(sent).toHaveLength(0);
    const runs = env.DB.prepare("SELECT count(*) n FROM runs WHERE project_id = ?").bind(project.principal.projectId);
    expect(await runs.first("n")).toBe(0);
  });
});

describe("jobs.result", () => {
  it("tells what there is so far when the end does not come in time", async () => {
    const upstream = heldUpstream();
    using _sent = scriptUpstream(() => upstream.answer());
    const { runId } = await submitJob(project);
    upstream.send(delta("so far"));
    await expect
      .poll(() => resultOf(runId, { waitMs: 0 }))
      .toMatchObject({ status: "running", content: "so far", run: null });
    expect(await resultOf(runId, { waitMs: 50 })).toMatchObject({ status: "running", content: "so far", run: null });
    upstream.send(delta("", "stop"), event("[DONE]"));
    upstream.close();
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "so far" });
  });
});

describe("jobs.cancel", () => {
  it("closes the upstream, keeps what has arrived, and is told to the watchers", async () => {
    const upstream = heldUpstream();
    using _sent = scriptUpstream(() => upstream.answer());
    const { runId } = await submitJob(project);
    await using watching = await watchJob(project, runId);
    upstream.send(delta("part"));
    for (let next = await watching.next(); next?.type !== "delta"; next = await watching.next());
    const cancelled = await callJobs<CancelledJob>("cancel", project, { runId });
    expect(cancelled.data).toEqual({ runId, status: "cancelled" });
    await expect.poll(() => upstream.cancelled).toBe(true);
    expect(await watching.rest()).toMatchObject([{ type: "done", run: { status: "cancelled", errorCode: null } }]);
    expect(await resultOf(runId)).toMatchObject({ status: "cancelled", content: "part" });
    await expect.poll(() => storedRun(runId)).toMatchObject({ status: "cancelled" });
    expect((await callJobs("cancel", project, { runId })).data).toEqual({ runId, status: "cancelled" });
  });

  it("ends a job that has not begun", async () => {
    using sent = scriptUpstream(hello);
    const { runId } = await submitJob(project, { delayMs: 3_600_000 });
    expect((await callJobs("cancel", project, { runId })).data).toEqual({ runId, status: "cancelled" });
    expect(await resultOf(runId)).toMatchObject({ status: "cancelled", content: null });
    expect(sent).toHaveLength(0);
  });

  it("leaves a job that has ended as it is", async () => {
    using _sent = scriptUpstream(hello);
    const { runId } = await submitJob(project);
    await resultOf(runId);
    expect((await callJobs("cancel", project, { runId })).data).toEqual({ runId, status: "succeeded" });
  });
});

describe("jobs.retry", () => {
  it("sends the same again as a run of its own", async () => {
    using sent = scriptUpstream(hello);
    const first = await submitJob(project, { params: { temperature: 0.5 } });
    await resultOf(first.runId);
    const { data: second } = await callJobs<JobTicket>("retry", project, { runId: first.runId });
    expect(second).toMatchObject({ retryOf: first.runId });
    expect(await resultOf(second.runId)).toMatchObject({ status: "succeeded", run: { retryOf: first.runId } });
    expect(sent[1]?.body).toEqual(sent[0]?.body);
    await expect.poll(() => storedRun(second.runId)).toMatchObject({ status: "succeeded", retry_of: first.runId });
  });
});

describe("a publishable key", () => {
  it("sees the jobs of its own alone, and cannot push them forward", async () => {
    using _sent = scriptUpstream(hello);
    const { runId } = await submitJob(project);
    await resultOf(runId);
    const key = await insertTestKey(project.principal.projectId, { kind: "publishable", origins: ["https://a.test"] });
    const visitor = { secret: key.secret, origin: "https://a.test" };
    for (const procedure of ["result", "cancel", "retry"] as const)
      expect(await callJobs(procedure, visitor, { runId })).toMatchObject({ error: { code: "not_found" } });
    expect(await callJobs("submit", visitor, { template: "t", priority: 1 })).toMatchObject({
      error: { code: "forbidden", param: "priority" },
    });
  });
});
