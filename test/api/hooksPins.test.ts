import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import type { RunWithContents } from "../../src/contract/runs.ts";
import { delta, event, events, scriptUpstream, storedRun } from "../support/call.ts";
import { makeEndpoint, type Received, scriptReceivers } from "../support/endpoints.ts";
import { heldUpstream } from "../support/jobs.ts";
import { answerOf, done, post, standardHeaders, triggerProject } from "../support/triggers.ts";

const hello = () => events(delta("Hel"), delta("lo"), delta("", "stop"), event("[DONE]"));
const body = '{"text":"hi"}';
type Project = Awaited<ReturnType<typeof triggerProject>>;

const send = async ({ id, secret }: Pick<Project, "id" | "secret">, message = "msg_1") =>
  post(id, body, await standardHeaders(secret, body, { id: message }));

describe("what a trigger pins", () => {
  /** A second version, which says it otherwise; `production` stays with the first. */
  async function versioned(trigger: Record<string, unknown>) {
    const project = await triggerProject();
    const content = { messages: [{ role: "user", content: "Shout {{words}}" }], model: "test-model" };
    await done(project.key, "templates.save", { name: "say", content });
    await done(project.key, "triggers.update", { id: project.id, ...trigger });
    return project;
  }

  it.each([
    [{}, "Say hi", { version: 1, label: "production" }],
    [{ version: "latest" }, "Shout hi", { version: 2, label: "latest" }],
    [{ version: 2 }, "Shout hi", { version: 2, label: null }],
  ])("%j: %s", async (trigger, said, template) => {
    using sent = scriptUpstream(hello);
    const project = await versioned(trigger);
    const { answer } = await send(project);
    await project.ended(answer.runId);
    expect(sent[0]?.body["messages"]).toEqual([{ role: "user", content: said }]);
    const { run } = await done<RunWithContents>(project.key, "runs.get", { id: answer.runId });
    expect(run.template).toMatchObject({ name: "say", ...template });
  });

  it("a label is followed when it moves, and a version that is gone fails the event, which can be replayed", async () => {
    using sent = scriptUpstream(hello);
    const project = await versioned({});
    await done(project.key, "templates.label", { name: "say", label: "production", version: 2 });
    const { answer } = await send(project);
    await project.ended(answer.runId);
    expect(sent[0]?.body["messages"]).toEqual([{ role: "user", content: "Shout hi" }]);
    await done(project.key, "templates.archive", { name: "say" });
    const failed = await send(project, "msg_2");
    expect(failed).toMatchObject({ status: 202, answer: { status: "failed", runId: null } });
    expect((await project.events({ status: "failed" }))[0]?.error).toMatchObject({
      code: "not_found",
      param: "template",
    });
    await done(project.key, "templates.restore", { name: "say" });
    const replayed = await done<{ runId: string }>(project.key, "triggers.replay", { eventId: failed.answer.eventId });
    await project.ended(replayed.runId);
    expect(sent).toHaveLength(2);
  });

  it("model, parameters and priority are its own", async () => {
    using sent = scriptUpstream(hello);
    const project = await triggerProject({ model: "other-model", params: { seed: 7, max_tokens: 5 }, priority: 9 });
    const { answer } = await send(project);
    await project.ended(answer.runId);
    expect(sent[0]?.body).toMatchObject({ model: "other-model", seed: 7, max_tokens: 5 });
    const row = await env.DB.prepare("SELECT spec FROM jobs JOIN runs USING (seq) WHERE id = ?")
      .bind(answer.runId)
      .first<string>("spec");
    expect(JSON.parse(row ?? "")).toMatchObject({ spec: { priority: 9, onInterrupt: "keep" } });
  });
});

describe("the metadata that a trigger maps", () => {
  it("is on its runs beside trigger and event, and finds them", async () => {
    using _ = scriptUpstream(hello);
    const project = await triggerProject({ metadata: { greeting: "text", kind: { header: "x-kind" } } });
    const headers = { ...(await standardHeaders(project.secret, body)), "x-kind": "k" };
    const { answer } = await post(project.id, body, headers);
    await project.ended(answer.runId);
    const { run } = await done<RunWithContents>(project.key, "runs.get", { id: answer.runId });
    const metadata = { greeting: "hi", kind: "k", trigger: project.id, event: answer.eventId };
    expect(run.metadata).toEqual(metadata);
    const found = await done(project.key, "runs.list", { metadata: { greeting: "hi" } });
    expect(found).toMatchObject({ items: [{ id: answer.runId }] });
  });

  it("that cannot be mapped fails the event, with the expression", async () => {
    const project = await triggerProject({ metadata: { greeting: "abs(text)" } });
    const { answer } = await send(project);
    expect(answer).toMatchObject({ status: "failed", runId: null });
    expect((await project.events())[0]?.error).toMatchObject({ param: "metadata.greeting", expression: "abs(text)" });
  });
});

describe("the endpoint that a trigger names", () => {
  it("is told of the run's end, by a signed message that names trigger and event", async () => {
    using received = scriptReceivers(() => new Response(null, { status: 204 }));
    const project = await triggerProject({ metadata: { greeting: "text" } });
    const endpoint = await makeEndpoint(project.key);
    const callback = { endpointId: endpoint.id, events: ["run.succeeded"] };
    await done(project.key, "triggers.update", { id: project.id, callback });
    const { answer } = await send(project);
    await vi.waitUntil(() => received.length > 0);
    const { headers, body: told, message } = received[0] as Received;
    new Webhook(endpoint.secret).verify(told, Object.fromEntries(headers));
    expect(message).toMatchObject({
      type: "run.succeeded",
      data: { runId: answer.runId, metadata: { greeting: "hi", trigger: project.id, event: answer.eventId } },
    });
  });

  it("is told of no other end than it is to be", async () => {
    using received = scriptReceivers(() => new Response(null, { status: 204 }));
    const project = await triggerProject();
    const { id: endpointId } = await makeEndpoint(project.key);
    await done(project.key, "triggers.update", { id: project.id, callback: { endpointId, events: ["run.failed"] } });
    const { answer } = await send(project);
    expect(await project.ended(answer.runId)).toMatchObject({ status: "succeeded" });
    await done(project.key, "triggers.update", { id: project.id, callback: { endpointId } });
    const other = await send(project, "msg_2");
    await vi.waitUntil(() => received.length > 0);
    expect(received.map(({ message }) => message)).toMatchObject([{ data: { runId: other.answer.runId } }]);
  });

  it("must be one of the project's", async () => {
    const project = await triggerProject();
    const { id: endpointId } = await makeEndpoint((await triggerProject()).key);
    const { error } = await answerOf(project.key, "triggers.update", { id: project.id, callback: { endpointId } });
    expect(error).toMatchObject({ code: "not_found", param: "callback.endpointId" });
  });
});

describe("a trigger that answers with the result", () => {
  it("does so with 200 once the run has ended, and again to a duplicate", async () => {
    using sent = scriptUpstream(hello);
    const project = await triggerProject({ respond: "sync" });
    const first = await send(project);
    expect(first.status).toBe(200);
    const result = { status: "succeeded", content: "Hello", reasoning: null, toolCalls: [] };
    expect(first.answer).toMatchObject({ status: "accepted", duplicate: false, result });
    const second = await send(project);
    expect(second).toMatchObject({ status: 200, answer: { ...first.answer, duplicate: true } });
    expect(sent).toHaveLength(1);
  });

  it("tells of a run that failed as well", async () => {
    using _ = scriptUpstream(() => Response.json({ error: { message: "no" } }, { status: 400 }));
    const project = await triggerProject({ respond: "sync" });
    expect(await send(project)).toMatchObject({ status: 200, answer: { result: { status: "failed", content: null } } });
  });

  it("answers 202 with the ids when the run takes longer than it waits", async () => {
    const upstream = heldUpstream();
    using _ = scriptUpstream(() => upstream.answer());
    const project = await triggerProject({ respond: "sync" });
    upstream.send(delta("half"));
    const timeout = AbortSignal.timeout;
    const waits: number[] = [];
    AbortSignal.timeout = (ms) => {
      waits.push(ms);
      return timeout(ms === limits.hookWaitMs ? 200 : ms);
    };
    try {
      const { status, answer } = await send(project);
      expect(status).toBe(202);
      expect(answer).toMatchObject({ status: "accepted", runId: expect.any(String) });
      expect(answer.result).toBeUndefined();
      upstream.send(delta("", "stop"), event("[DONE]"));
      expect(await project.ended(answer.runId)).toMatchObject({ content: "half" });
    } finally {
      AbortSignal.timeout = timeout;
    }
    expect(waits).toContain(limits.hookWaitMs);
  });

  it("answers at once for an event that comes to no run", async () => {
    const project = await triggerProject({ respond: "sync", filter: "`false`" });
    expect(await send(project)).toMatchObject({ status: 202, answer: { status: "ignored", runId: null } });
  });
});

describe("the project's budget", () => {
  it("that is spent fails the event, which can be replayed when there is one again", async () => {
    using _ = scriptUpstream(hello);
    const project = await triggerProject();
    const budget = (tokens: number | null) =>
      env.DB.prepare("UPDATE projects SET tokens_per_day = ? WHERE id = ?").bind(tokens, project.projectId).run();
    await budget(1);
    const day = new Date().toISOString().slice(0, 10);
    await env.DB.prepare("INSERT INTO budget_daily VALUES (?, ?, '', '', 5, 0)").bind(project.projectId, day).run();
    const { status, answer } = await send(project);
    expect(status).toBe(202);
    expect(answer.status).toBe("failed");
    expect((await project.events())[0]?.error).toMatchObject({ code: "rate_limited" });
    await budget(null);
    const { runId } = await done<{ runId: string }>(project.key, "triggers.replay", { eventId: answer.eventId });
    await project.ended(runId);
    expect(await storedRun(runId)).toMatchObject({ source: "webhook" });
  });
});
