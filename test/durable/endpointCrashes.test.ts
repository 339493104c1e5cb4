import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Notice } from "../../src/core/webhookMessages.ts";
import { delta } from "../support/call.ts";
import {
  deliveriesOf,
  endpointObject,
  endpointState,
  handedOver,
  makeEndpoint,
  notices,
  patient,
  ring,
  scriptReceivers,
  updateEndpoint,
} from "../support/endpoints.ts";
import { heldUpstream, jobObject, submitJob } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";
import { laterBy } from "../support/sweep.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const ok = () => new Response(null, { status: 204 });
const handOver = (endpointId: string, messages: readonly Notice[], forMs?: number) =>
  handedOver(project, endpointId, { messages, forMs });

const delivered = (id: string) => deliveriesOf(project, id, { status: "delivered", limit: 100 });

describe("a crash", () => {
  it("between a job's end and its handing over: it is handed over by the job's alarm", async () => {
    using received = scriptReceivers(ok);
    const { id } = await makeEndpoint(project, { events: ["run.succeeded"] });
    await env.DB.exec("ALTER TABLE endpoints RENAME TO endpoints_away");
    const { runId } = await submitJob(project);
    await expect
      .poll(() => env.DB.prepare("SELECT status FROM runs WHERE id = ?").bind(runId).first("status"), patient)
      .toBe("succeeded");
    await abortAllDurableObjects();
    await env.DB.exec("ALTER TABLE endpoints_away RENAME TO endpoints");
    expect(received).toHaveLength(0);
    await runDurableObjectAlarm(jobObject(runId));
    await vi.waitUntil(() => received.length === 1, patient);
    await expect.poll(() => deliveriesOf(project, id), patient).toMatchObject([{ runId, status: "delivered" }]);
    await abortAllDurableObjects();
    await runDurableObjectAlarm(jobObject(runId));
    expect(received).toHaveLength(1);
  });

  it("in the middle of an answer: the interrupted run is told", async () => {
    const upstream = heldUpstream();
    using received = scriptReceivers(ok, () => upstream.answer());
    await makeEndpoint(project, { events: ["run.interrupted"] });
    const { runId } = await submitJob(project);
    upstream.send(delta("half a"));
    const told = () =>
      runInDurableObject(jobObject(runId), (_, { storage }) =>
        storage.sql.exec("SELECT 1 FROM events WHERE line LIKE '%half a%'").toArray(),
      );
    await expect.poll(told, patient).toHaveLength(1);
    await abortAllDurableObjects();
    await runDurableObjectAlarm(jobObject(runId));
    await vi.waitUntil(() => received.length === 1, patient);
    expect(received[0]?.message).toMatchObject({ type: "run.interrupted", data: { runId, text: "half a" } });
  });

  it("between handing over and sending: it is sent by the endpoint's alarm", async () => {
    using received = scriptReceivers(ok);
    const { id } = await makeEndpoint(project);
    await updateEndpoint(project, { id, enabled: false });
    const messages = notices(3);
    await handOver(id, messages);
    await abortAllDurableObjects();
    await updateEndpoint(project, { id, enabled: true });
    await abortAllDurableObjects();
    await ring(id);
    await vi.waitUntil(() => received.length >= 3, patient);
    expect(new Set(received.map((one) => one.id))).toEqual(new Set(messages.map((one) => one.id)));
    await expect.poll(() => delivered(id), patient).toHaveLength(3);
  });

  it("between sending and recording: it is sent again under the same id", async () => {
    let isStalling = true;
    using received = scriptReceivers(async () => {
      while (isStalling) await new Promise((go) => setTimeout(go, 2));
      return ok();
    });
    const { id } = await makeEndpoint(project);
    await handOver(id, notices(1));
    await vi.waitUntil(() => received.length === 1, patient);
    await abortAllDurableObjects();
    isStalling = false;
    await ring(id);
    await vi.waitUntil(() => received.length === 2, patient);
    await expect.poll(() => deliveriesOf(project, id), patient).toMatchObject([{ status: "delivered", attempts: 1 }]);
    expect(received[1]?.id).toBe(received[0]?.id);
    expect(received[1]?.body).toBe(received[0]?.body);
  });

  it("after a 410: nothing is sent, and the list shows why", async () => {
    using received = scriptReceivers(() => new Response(null, { status: 410 }));
    const { id } = await makeEndpoint(project);
    await handOver(id, notices(1));
    await expect
      .poll(() => endpointState(project, id), patient)
      .toMatchObject({ endpoint: { disabled: { reason: "gone" } } });
    await evictDurableObject(endpointObject(id));
    await handOver(id, notices(5));
    await laterBy(3_600_000, () => ring(id));
    expect(received).toHaveLength(1);
    expect(await endpointState(project, id)).toMatchObject({ pending: 6, endpoint: { status: "disabled" } });
  });
});
