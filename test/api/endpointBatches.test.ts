import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { BatchMessageData } from "../../src/contract/webhookMessages.ts";
import {
  batchObject,
  callBatches,
  cancelBatch,
  ended,
  makeTemplate,
  saying,
  submitBatch,
  unreachable,
} from "../support/batches.ts";
import { callWeir } from "../support/call.ts";
import { deliveriesOf, hello, makeEndpoint, patient, type Received, scriptReceivers } from "../support/endpoints.ts";
import { jobObject } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";
import { minuteMs, sweepIn } from "../support/sweep.ts";

vi.setConfig({ testTimeout: 60_000 });

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
  await makeTemplate(project);
});

const ok = () => new Response(null, { status: 204 });
const words = (count: number) => saying(...Array.from({ length: count }, (_, at) => `w${at}`));
const ends = (received: Received[]) =>
  received.flatMap(({ id, message }) =>
    message.type === "batch.completed" ? [{ id, data: message.data as BatchMessageData }] : [],
  );

describe("a batch whose endpoint listens for its end", () => {
  it("is told once, when the last of its jobs has ended, with the counts", async () => {
    using received = scriptReceivers(ok, () => hello());
    const { id } = await makeEndpoint(project, { events: ["batch.completed"] });
    const { batchId } = await submitBatch(project, { items: words(60) });
    await vi.waitUntil(() => received.length > 0, { timeout: 20_000 });
    expect(ends(received)).toMatchObject([
      { data: { batchId, total: 60, succeeded: 60, failed: 0, cancelled: 0, interrupted: 0 } },
    ]);
    await runDurableObjectAlarm(batchObject(batchId));
    await expect
      .poll(() => deliveriesOf(project, id), patient)
      .toMatchObject([{ batchId, runId: null, status: "delivered" }]);
  });

  it("is told of a batch that is cancelled, its jobs never having begun", async () => {
    using received = scriptReceivers(ok);
    await makeEndpoint(project, { events: ["batch.completed", "run.cancelled"] });
    const { batchId } = await submitBatch(project, { items: words(45), delayMs: 3_600_000 });
    await cancelBatch(project, batchId);
    await vi.waitUntil(() => received.length === 46, { timeout: 20_000 });
    expect(ends(received)).toMatchObject([{ data: { total: 45, cancelled: 45, succeeded: 0 } }]);
  });

  it("is told of jobs that were cancelled before anybody started them", async () => {
    using received = scriptReceivers(ok);
    await makeEndpoint(project, { events: ["batch.completed", "run.cancelled"] });
    const { batchId } = await submitBatch(project, { items: words(3) }, { BATCHES: unreachable("start") });
    await cancelBatch(project, batchId);
    await vi.waitUntil(() => received.length === 4, { timeout: 20_000 });
    expect(ends(received)).toMatchObject([{ data: { batchId, total: 3, cancelled: 3 } }]);
  });
});

describe("a batch that names a callback", () => {
  it("tells it of each job and of the batch", async () => {
    using received = scriptReceivers(ok);
    const { id: endpointId } = await makeEndpoint(project);
    const { batchId, runIds } = await submitBatch(project, { items: words(3), callback: { endpointId } });
    await vi.waitUntil(() => received.length === 4, { timeout: 20_000 });
    expect(ends(received)).toMatchObject([{ data: { batchId, total: 3, succeeded: 3 } }]);
    const told = await deliveriesOf(project, endpointId);
    expect(new Set(told.map(({ runId }) => runId))).toEqual(new Set([null, ...runIds]));
    for (const one of told) expect(one.batchId).toBe(batchId);
  });

  it("tells it of the batch alone where it asks for that", async () => {
    using received = scriptReceivers(ok);
    const { id: endpointId } = await makeEndpoint(project);
    const callback = { endpointId, events: ["batch.completed"] };
    await submitBatch(project, { items: words(3), callback });
    await vi.waitUntil(() => received.length > 0, { timeout: 20_000 });
    expect(received.map(({ message }) => message.type)).toEqual(["batch.completed"]);
  });

  it("is refused whole for an endpoint that is nobody's", async () => {
    const input = { template: "say", items: words(1), callback: { endpointId: "end_nobodys" } };
    const answer = await callBatches("submitBatch", project, { input });
    expect(answer).toMatchObject({ status: 404, error: { code: "not_found", param: "callback.endpointId" } });
  });
});

describe("a crash", () => {
  it("before a batch's end is told: it is told by the alarms, under one id", async () => {
    using received = scriptReceivers(ok);
    const { id } = await makeEndpoint(project, { events: ["batch.completed"] });
    const { batchId, runIds } = await submitBatch(project, { items: words(5) });
    await ended(project, batchId);
    for (let round = 0; round < 3; round++) {
      await abortAllDurableObjects();
      // The alarms of jobs that have not told of their end come back to it.
      for (const runId of runIds) await runDurableObjectAlarm(jobObject(runId));
      await runDurableObjectAlarm(batchObject(batchId));
    }
    await vi.waitUntil(() => received.length > 0, { timeout: 20_000 });
    await expect.poll(() => deliveriesOf(project, id), patient).toMatchObject([{ batchId, status: "delivered" }]);
    expect(new Set(ends(received).map((one) => one.id)).size).toBe(1);
  });

  it("after that: a job that tells again changes nothing", async () => {
    using received = scriptReceivers(ok);
    const { id } = await makeEndpoint(project, { events: ["batch.completed"] });
    const { batchId } = await submitBatch(project, { items: words(3) });
    await expect.poll(() => deliveriesOf(project, id), { timeout: 10_000 }).toMatchObject([{ status: "delivered" }]);
    await abortAllDurableObjects();
    const { projectId } = project.principal;
    await batchObject(batchId).ended({ projectId, batchId }, undefined);
    await runDurableObjectAlarm(batchObject(batchId));
    expect(await deliveriesOf(project, id)).toHaveLength(1);
    expect(received).toHaveLength(1);
  });
});

it("a batch without anybody who listens leaves nothing in its object", async () => {
  using _ = scriptReceivers(ok);
  const { batchId } = await submitBatch(project, { items: words(3) });
  await ended(project, batchId);
  const left = () => runInDurableObject(batchObject(batchId), (_, { storage }) => [...storage.kv.list()]);
  await expect.poll(left, patient).toEqual([]);
});

it("a job that nobody started is told of by the sweeper's start", async () => {
  using received = scriptReceivers(ok);
  await makeEndpoint(project, { events: ["run.succeeded"] });
  const lost = { start: () => Promise.reject(new Error("Network connection lost.")) };
  const JOBS = { idFromName: (name: string) => name, get: () => lost } as unknown as DurableObjectNamespace;
  const body = { model: "test-model", messages: [{ role: "user", content: "Hi" }] };
  await callWeir("/trpc/jobs.submit", { secret: project.secret, body, env: { JOBS } });
  await sweepIn(2 * minuteMs);
  await vi.waitUntil(() => received.length === 1, { timeout: 10_000 });
});
