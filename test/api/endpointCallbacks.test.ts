import { Webhook } from "standardwebhooks";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import type { RunMessageData } from "../../src/contract/webhookMessages.ts";
import { callWeir, chat, delta, event, events, storedRun } from "../support/call.ts";
import {
  callEndpoints,
  deliveriesOf,
  hello,
  hookUrl,
  makeEndpoint,
  patient,
  type Received,
  ring,
  scriptReceivers,
} from "../support/endpoints.ts";
import { callJobs, heldUpstream, submitJob } from "../support/jobs.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";
import { laterBy } from "../support/sweep.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const ok = () => new Response(null, { status: 204 });
const everyRun = ["run.succeeded", "run.failed", "run.cancelled", "run.interrupted"];

/** The one message that was received, as soon as it is. */
async function onlyMessage(received: Received[]): Promise<{ type: string; data: RunMessageData }> {
  await vi.waitUntil(() => received.length > 0, patient);
  expect(received).toHaveLength(1);
  return received[0]?.message as { type: string; data: RunMessageData };
}

describe("an endpoint that listens for an event", () => {
  it("is told of a job's end by a signed message, which the reference library verifies", async () => {
    using received = scriptReceivers(ok);
    const { id, secret } = await makeEndpoint(project, { events: ["run.succeeded"] });
    const { runId } = await submitJob(project, { metadata: { team: "a" } });
    const message = await onlyMessage(received);
    const { url, headers, body } = received[0] as Received;
    expect(url).toBe(hookUrl);
    new Webhook(secret).verify(body, Object.fromEntries(headers));
    expect(message).toMatchObject({
      type: "run.succeeded",
      data: {
        runId,
        status: "succeeded",
        model: { asked: "test-model", answered: "vendor/answered" },
        usage: { promptTokens: 3, completionTokens: 2 },
        finishReason: "stop",
        metadata: { team: "a" },
        text: "Hello",
        truncated: false,
        resultPath: `/v1/runs/${runId}`,
      },
    });
    // Whoever is told finds the run.
    expect(await storedRun(runId)).toMatchObject({ status: "succeeded" });
    await expect
      .poll(() => deliveriesOf(project, id), patient)
      .toMatchObject([
        { id: headers.get("webhook-id"), runId, event: "run.succeeded", status: "delivered", attempts: 1 },
      ]);
  });

  it("is told of nothing else, and nobody else is", async () => {
    using received = scriptReceivers(ok);
    const { id } = await makeEndpoint(project, { events: ["run.failed"] });
    const stranger = await insertTestProject();
    const foreign = await makeEndpoint(stranger, { events: everyRun });
    const { runId } = await submitJob(project);
    await expect.poll(() => storedRun(runId), patient).toMatchObject({ status: "succeeded" });
    using failing = scriptReceivers(ok, () => Response.json({ error: { message: "no" } }, { status: 400 }));
    const failed = await submitJob(project);
    expect(await onlyMessage(failing)).toMatchObject({ type: "run.failed", data: { runId: failed.runId } });
    expect(received).toHaveLength(0);
    expect(await deliveriesOf(project, id)).toHaveLength(1);
    expect(await deliveriesOf(stranger, foreign.id)).toEqual([]);
  });

  it("is not told of what is relayed to its caller", async () => {
    using received = scriptReceivers(ok);
    const { id } = await makeEndpoint(project, { events: everyRun });
    const { response, settled } = await chat(project.secret, { stream: true });
    await response.text();
    await settled();
    await submitJob(project);
    await vi.waitUntil(() => received.length === 1, patient);
    expect(await deliveriesOf(project, id)).toHaveLength(1);
  });
});

describe("each way in which a job may end is told", () => {
  it("a refusal by its upstream", async () => {
    using received = scriptReceivers(ok, () => Response.json({ error: { message: "bad" } }, { status: 400 }));
    await makeEndpoint(project, { events: everyRun });
    await submitJob(project);
    const { type, data } = await onlyMessage(received);
    expect(type).toBe("run.failed");
    expect(data).toMatchObject({ status: "failed", error: { code: "invalid_request", message: "bad" }, text: null });
  });

  it("its deadline, while it waits at the gate", async () => {
    const full = await insertTestProject({ maxJobs: 1 });
    const upstream = heldUpstream();
    using received = scriptReceivers(ok, () => upstream.answer());
    await makeEndpoint(full, { events: everyRun });
    await submitJob(full);
    const late = await submitJob(full, { deadlineMs: 400 });
    await vi.waitUntil(() => received.length > 0, patient);
    expect(received[0]?.message).toMatchObject({
      type: "run.failed",
      data: { runId: late.runId, error: { code: "upstream_timeout" } },
    });
    upstream.close();
    await vi.waitUntil(() => received.length === 2, patient);
  });

  it("a cancel before it began", async () => {
    using received = scriptReceivers(ok);
    await makeEndpoint(project, { events: everyRun });
    const { runId } = await submitJob(project, { delayMs: 3_600_000 });
    await callJobs("cancel", project, { runId });
    expect(await onlyMessage(received)).toMatchObject({ type: "run.cancelled", data: { runId, error: null } });
  });

  it("a cancel with half of its answer", async () => {
    const upstream = heldUpstream();
    using received = scriptReceivers(ok, () => upstream.answer());
    await makeEndpoint(project, { events: everyRun });
    const { runId } = await submitJob(project);
    upstream.send(delta("half"));
    await expect
      .poll(() => callJobs("result", project, { runId, waitMs: 0 }), patient)
      .toMatchObject({ data: { content: "half" } });
    await callJobs("cancel", project, { runId });
    expect(await onlyMessage(received)).toMatchObject({ type: "run.cancelled", data: { runId, text: "half" } });
  });

  it("an answer that fits its schema, by the parsed output alone", async () => {
    const answer = () => events(delta('{"n":1}'), delta("", "stop"), event("[DONE]"));
    using received = scriptReceivers(ok, answer);
    await makeEndpoint(project, { events: everyRun });
    const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] };
    const responseFormat = { type: "json_schema", json_schema: { name: "n", schema } };
    const content = { messages: [{ role: "user", content: "count" }], model: "test-model", responseFormat };
    await callWeir("/trpc/templates.create", { secret: project.secret, body: { name: "count", content } });
    await submitJob(project, { template: "count", model: undefined, messages: undefined });
    expect((await onlyMessage(received)).data).toMatchObject({ output: { n: 1 }, text: null, truncated: false });
  });
});

describe("a callback that a job names", () => {
  it("is told of that job, of every end or of those it names", async () => {
    using received = scriptReceivers(ok);
    const { id: endpointId } = await makeEndpoint(project);
    await submitJob(project);
    const named = await submitJob(project, { callback: { endpointId } });
    const other = await submitJob(project, { callback: { endpointId, events: ["run.failed"] } });
    const chosen = await submitJob(project, { callback: { endpointId, events: ["run.succeeded"] } });
    await vi.waitUntil(() => received.length === 2, patient);
    await expect.poll(() => storedRun(other.runId), patient).toMatchObject({ status: "succeeded" });
    const told = (await deliveriesOf(project, endpointId)).map(({ runId }) => runId);
    expect(told.toSorted()).toEqual([named.runId, chosen.runId].toSorted());
  });

  it("is told once, also where it listens anyway", async () => {
    using received = scriptReceivers(ok);
    const { id: endpointId } = await makeEndpoint(project, { events: everyRun });
    const { runId } = await submitJob(project, { callback: { endpointId } });
    await expect.poll(() => deliveriesOf(project, endpointId), patient).toMatchObject([{ runId, status: "delivered" }]);
    expect(received).toHaveLength(1);
  });

  it("goes with the job's repetition", async () => {
    using received = scriptReceivers(ok);
    const { id: endpointId } = await makeEndpoint(project);
    const { runId } = await submitJob(project, { callback: { endpointId } });
    await vi.waitUntil(() => received.length === 1, patient);
    const again = await callJobs<{ runId: string }>("retry", project, { runId });
    await vi.waitUntil(() => received.length === 2, patient);
    expect(received[1]?.message).toMatchObject({ data: { runId: again.data.runId, retryOf: runId } });
  });

  it("is part of the request: another one under the same idempotency key is a conflict", async () => {
    using received = scriptReceivers(ok);
    const { id: endpointId } = await makeEndpoint(project);
    await submitJob(project, { idempotencyKey: "k", callback: { endpointId } });
    const question = { model: "test-model", messages: [{ role: "user", content: "Hi" }], idempotencyKey: "k" };
    expect(await callJobs("submit", project, question)).toMatchObject({ error: { code: "conflict" } });
    await vi.waitUntil(() => received.length === 1, patient);
  });

  it("is not found when it is nobody's, another project's or archived", async () => {
    const foreign = await makeEndpoint(await insertTestProject());
    const archived = await makeEndpoint(project);
    await callEndpoints(project, "archive", { id: archived.id });
    const question = { model: "test-model", messages: [{ role: "user", content: "Hi" }] };
    for (const endpointId of ["end_nobodys", foreign.id, archived.id]) {
      const answer = await callJobs("submit", project, { ...question, callback: { endpointId } });
      expect(answer).toMatchObject({ status: 404, error: { code: "not_found", param: "callback.endpointId" } });
    }
  });

  it("is named on /v1 too", async () => {
    using received = scriptReceivers(ok);
    const { id: endpoint_id } = await makeEndpoint(project);
    const more = { background: true };
    const { response, settled } = await chat(project.secret, { ...more, callback: { endpoint_id } });
    expect(response.status).toBe(202);
    await settled();
    const { data } = await onlyMessage(received);
    expect(data.runId).toBe(response.headers.get("x-weir-run-id"));
    const missing = await chat(project.secret, { ...more, callback: { endpoint_id: "end_nobodys" } });
    expect(missing.response.status).toBe(404);
    expect(await missing.response.json()).toMatchObject({
      error: { param: "callback.endpoint_id", message: expect.stringContaining("callback.endpoint_id:") },
    });
  });

  it("is not for publishable keys", async () => {
    const { id: endpointId } = await makeEndpoint(project);
    const origin = "https://shop.example.com";
    const key = await insertTestKey(project.principal.projectId, { kind: "publishable", origins: [origin] });
    const input = { template: "t", callback: { endpointId } };
    const answer = await callJobs("submit", { ...key, origin }, input);
    expect(answer).toMatchObject({ status: 403, error: { code: "forbidden", param: "callback" } });
  });
});

it("messages of a run that is deleted are dropped, and not sent any more", async () => {
  using received = scriptReceivers(() => new Response(null, { status: 500 }));
  const { id } = await makeEndpoint(project, { events: everyRun });
  const [first, second] = [await submitJob(project), await submitJob(project)];
  await expect.poll(() => deliveriesOf(project, id), patient).toMatchObject([{ attempts: 1 }, { attempts: 1 }]);
  await callWeir("/trpc/runs.delete", { secret: project.secret, body: { id: first.runId } });
  expect((await deliveriesOf(project, id)).map(({ runId }) => runId)).toEqual([second.runId]);
  await laterBy(10_000, () => ring(id));
  await vi.waitUntil(() => received.length === 3, patient);
  expect(received[2]?.message).toMatchObject({ data: { runId: second.runId } });
});

describe("a message", () => {
  const bytes = (text: string) => new TextEncoder().encode(text).length;

  it("leaves out an answer that is too long, and says where it is", async () => {
    const long = () => events(delta("国".repeat(6_700)), delta("", "stop"), event("[DONE]"));
    using received = scriptReceivers(ok, long);
    await makeEndpoint(project, { events: everyRun });
    const { runId } = await submitJob(project);
    const { data } = await onlyMessage(received);
    expect(data).toMatchObject({ text: null, truncated: true, resultPath: `/v1/runs/${runId}` });
    expect(bytes(received[0]?.body ?? "")).toBeLessThan(2_000);
  });

  it("has less than 20 kB, whatever its metadata", async () => {
    using received = scriptReceivers(ok);
    await makeEndpoint(project, { events: everyRun });
    const pairs = Array.from({ length: limits.maxMetadataPairs }, (_, at) => [
      `${at}`.padEnd(limits.maxMetadataKeyChars, "国"),
      "国".repeat(limits.maxMetadataValueChars),
    ]);
    await submitJob(project, { metadata: Object.fromEntries(pairs) });
    expect((await onlyMessage(received)).data).toMatchObject({ metadata: {}, text: null, truncated: true });
    expect(bytes(received[0]?.body ?? "")).toBeLessThan(20_000);
  });

  it("holds nothing of an answer that the project does not keep", async () => {
    const discreet = await insertTestProject({ keepContents: false });
    using received = scriptReceivers(ok, hello);
    await makeEndpoint(discreet, { events: everyRun });
    await submitJob(discreet);
    expect((await onlyMessage(received)).data).toMatchObject({ status: "succeeded", text: null, truncated: true });
  });
});
