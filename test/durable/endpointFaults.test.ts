import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import type { Notice } from "../../src/core/webhookMessages.ts";
import { sampleNotice } from "../../src/core/webhookSamples.ts";
import { EndpointActor } from "../../src/durable/endpointActor.ts";
import type { Env } from "../../src/env.ts";
import {
  callEndpoints,
  deliveriesOf,
  endpointObject,
  endpointState,
  makeEndpoint,
  patient,
  scriptReceivers,
  updateEndpoint,
} from "../support/endpoints.ts";
import { failingD1 } from "../support/failingD1.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const ok = () => new Response(null, { status: 204 });
/** What a busy machine may take between setting an alarm and looking at it. */
const slackMs = 250;

/** Messages of their own runs. */
const notices = (count: number): Notice[] =>
  Array.from({ length: count }, (_, at) => sampleNotice("run.succeeded", Date.now() + at));

/** Hands messages over as a job does. */
function handOver(endpointId: string, messages: readonly Notice[]): Promise<void> {
  const { projectId } = project.principal;
  return endpointObject(endpointId).accept({ projectId, endpointId }, messages, limits.deliveryKeptMs);
}

describe("an endpoint's object", () => {
  it("has its alarm set again under a configuration that is refused", async () => {
    using _ = scriptReceivers(() => new Response(null, { status: 500 }));
    const { id } = await makeEndpoint(project);
    await handOver(id, notices(1));
    await expect.poll(() => deliveriesOf(project, id), patient).toMatchObject([{ attempts: 1 }]);
    const refused = { ...env, ENVIRONMENT: "production", WEBHOOKS_ALLOW_LOOPBACK: "true" } as Env;
    await runInDurableObject(endpointObject(id), async (_, state) => {
      await state.storage.deleteAlarm();
      await new EndpointActor(state, refused).alarm();
      expect(await state.storage.getAlarm()).not.toBeNull();
    });
  });

  it("sends to an address that is new at once, whatever the one before has asked for", async () => {
    using received = scriptReceivers(({ url }) =>
      url.endsWith("/old")
        ? new Response(null, { status: 503, headers: { "retry-after": "86400" } })
        : new Response(null, { status: 204 }),
    );
    const { id } = await makeEndpoint(project, { url: "https://receiver.test/old" });
    await handOver(id, notices(1));
    await expect.poll(() => deliveriesOf(project, id), patient).toMatchObject([{ attempts: 1 }]);
    await updateEndpoint(project, { id, url: "https://receiver.test/new" });
    await handOver(id, notices(1));
    await vi.waitUntil(() => received.some(({ url }) => url.endsWith("/new")), patient);
  });

  it("holds nothing against an address that is new of what the one before answers late", async () => {
    const network = { isStalling: true };
    using received = scriptReceivers(async ({ url }) => {
      if (url.endsWith("/new")) return ok();
      while (network.isStalling) await new Promise((go) => setTimeout(go, 2));
      return new Response(null, { status: 410 });
    });
    const { id } = await makeEndpoint(project, { url: "https://receiver.test/old" });
    await handOver(id, notices(1));
    await vi.waitUntil(() => received.length === 1, patient);
    await updateEndpoint(project, { id, url: "https://receiver.test/new" });
    network.isStalling = false;
    await expect.poll(() => deliveriesOf(project, id), patient).toMatchObject([{ lastAttempt: { status: 410 } }]);
    expect(await endpointState(project, id)).toMatchObject({ endpoint: { status: "enabled" }, failingSince: null });
  });

  it("begins a message's schedule anew that is replayed while it is under way", async () => {
    const network = { isStalling: true };
    using received = scriptReceivers(async () => {
      while (network.isStalling) await new Promise((go) => setTimeout(go, 2));
      return ok();
    });
    const { id } = await makeEndpoint(project);
    const [message] = notices(1);
    if (!message) throw new Error("too few");
    await handOver(id, [message]);
    await vi.waitUntil(() => received.length === 1, patient);
    for (let times = 0; times < 2; times++) {
      const replayed = await callEndpoints(project, "deliveries.replay", { endpointId: id, id: message.id });
      expect(replayed).toMatchObject({ status: 200, data: { status: "pending" } });
    }
    network.isStalling = false;
    await expect
      .poll(() => deliveriesOf(project, id), patient)
      .toMatchObject([{ status: "delivered", attempts: 2, nextAttemptAt: null }]);
    expect(received.map((one) => one.id)).toEqual([message.id, message.id]);
  });

  it("waits twice as long after each failure of D1, those counting as one that come side by side", async () => {
    const { id } = await makeEndpoint(project);
    const owner = { projectId: project.principal.projectId, endpointId: id };
    const pausesMs: number[] = [];
    await runInDurableObject(endpointObject(id), async (_, state) => {
      const DB = failingD1(env.DB, { fails: () => true, when: "before" });
      const bindings = { ...env, DB } as Env;
      for (let round = 1; round <= 3; round++) {
        // As after an eviction, each round is made by an instance of its own.
        const actor = new EndpointActor(state, bindings);
        if (round === 1) await actor.accept(owner, notices(limits.maxSends), limits.deliveryKeptMs);
        else await actor.alarm();
        await vi.waitUntil(() => DB.counted.failed === round * limits.maxSends, patient);
        const setsOff = async () => ((await state.storage.getAlarm()) ?? Number.POSITIVE_INFINITY) - Date.now();
        await vi.waitUntil(async () => (await setsOff()) < limits.recordPauseMs * 2 ** (round - 1), patient);
        pausesMs.push(await setsOff());
        await state.storage.deleteAlarm();
      }
    });
    for (const [failures, pauseMs] of pausesMs.entries())
      expect(pauseMs).toBeGreaterThan(limits.recordPauseMs * 2 ** (failures - 1) - slackMs);
  });

  it("tells in the log how many messages have made way that were still to be sent", async () => {
    const { id } = await makeEndpoint(project);
    await updateEndpoint(project, { id, enabled: false });
    await handOver(id, notices(1));
    await runInDurableObject(endpointObject(id), (_, { storage }) =>
      storage.sql.exec(
        `WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)
         INSERT INTO deliveries SELECT 'dlv_z' || n, 'run.failed', NULL, NULL, '{}', iif(n <= 10, 'dead', 'pending'),
           n, ?, 0, 0, n, NULL FROM n`,
        limits.maxDeliveries - 1,
        Date.now() + limits.deliveryKeptMs,
      ),
    );
    await evictDurableObject(endpointObject(id));
    const logged = vi.spyOn(console, "error");
    await handOver(id, notices(1));
    const lines = logged.mock.calls.map(([line]) => JSON.parse(String(line)));
    logged.mockRestore();
    const unsent = limits.prunedDeliveries - 10;
    expect(lines).toContainEqual({ event: "deliveries_dropped", endpointId: id, unsent });
  });
});
