import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { DeliveryAttempt } from "../../src/contract/deliveries.ts";
import { limits } from "../../src/contract/limits.ts";
import { sampleNotice } from "../../src/core/webhookSamples.ts";
import { EndpointActor } from "../../src/durable/endpointActor.ts";
import type { Env } from "../../src/env.ts";
import {
  callEndpoints,
  deliveriesOf,
  deliveryOf,
  endpointObject,
  endpointState,
  hookUrl,
  makeEndpoint,
  patient,
  ring,
  scriptReceivers,
  updateEndpoint,
} from "../support/endpoints.ts";
import { submitJob } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";
import { laterBy } from "../support/sweep.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const answering =
  (status: number, headers: Record<string, string> = {}) =>
  () =>
    new Response(status === 204 ? null : "an answer", { status, headers });
const listening = () => makeEndpoint(project, { events: ["run.succeeded"] });

/** The project's one message, as soon as it has been tried so often. */
async function tried(endpointId: string, attempts: number) {
  await expect.poll(() => deliveriesOf(project, endpointId), patient).toMatchObject([{ attempts }]);
  const [delivery] = await deliveriesOf(project, endpointId);
  if (!delivery) throw new Error("there is no delivery");
  return delivery;
}

const untilMs = (at: string | null) => Date.parse(at ?? "") - Date.now();

describe("fault 29: a receiver that fails", () => {
  it("gets the message again and again, under one id with a new timestamp, by the schedule, until it is dead", async () => {
    using received = scriptReceivers(answering(500));
    const { id } = await listening();
    await submitJob(project);
    let aheadMs = 0;
    for (const [at, pauseMs] of limits.deliveryPausesMs.entries()) {
      await laterBy(aheadMs, async () => {
        if (at > 0) await ring(id);
        const { status, nextAttemptAt } = await tried(id, at + 1);
        const next = limits.deliveryPausesMs[at + 1];
        expect(status).toBe(next === undefined ? "dead" : "pending");
        if (next === undefined) return expect(nextAttemptAt).toBeNull();
        // What has passed since the attempt is far less than a second.
        expect(untilMs(nextAttemptAt)).toBeGreaterThan(next - 2_000);
        expect(untilMs(nextAttemptAt)).toBeLessThanOrEqual(next * (1 + limits.deliveryJitter));
      });
      expect(pauseMs).toBe(limits.deliveryPausesMs[at]);
      aheadMs += (limits.deliveryPausesMs[at + 1] ?? 0) * (1 + limits.deliveryJitter) + 1_000;
    }
    expect(received).toHaveLength(8);
    expect(new Set(received.map((one) => one.id)).size).toBe(1);
    expect(new Set(received.map((one) => one.body)).size).toBe(1);
    expect(new Set(received.map((one) => one.timestamp)).size).toBe(8);
    expect(new Set(received.map((one) => one.signature)).size).toBe(8);
    const [dead] = await deliveriesOf(project, id, { status: "dead" });
    const { attempts } = await deliveryOf(project, id, dead?.id ?? "");
    expect(attempts).toHaveLength(8);
    for (const attempt of attempts)
      expect(attempt).toMatchObject({
        status: 500,
        error: "status",
        answer: "an answer",
      } satisfies Partial<DeliveryAttempt>);
  });

  it("gets a dead message when it is replayed, under the same id", async () => {
    using received = scriptReceivers((_, count) => answering(count <= 8 ? 500 : 200)());
    const { id } = await listening();
    await submitJob(project);
    await tried(id, 1);
    let aheadMs = 0;
    for (let attempts = 2; attempts <= 8; attempts++) {
      aheadMs += 12 * 3_600_000 + 1_000;
      await laterBy(aheadMs, () => ring(id));
      await tried(id, attempts);
    }
    const [dead] = await deliveriesOf(project, id, { status: "dead" });
    const replayed = await callEndpoints(project, "deliveries.replay", { endpointId: id, id: dead?.id });
    expect(replayed).toMatchObject({ status: 200, data: { id: dead?.id, status: "pending" } });
    expect(await tried(id, 9)).toMatchObject({ status: "delivered" });
    expect(new Set(received.map((one) => one.id)).size).toBe(1);
  });

  it.each([
    ["seconds", 429, () => "120"],
    ["a date", 503, () => new Date(Date.now() + 121_000).toUTCString()],
  ])("is given the time that it asks for in %s, for all its messages", async (_, status, retryAfter) => {
    using received = scriptReceivers((_, count) =>
      count === 1 ? answering(status, { "retry-after": retryAfter() })() : answering(204)(),
    );
    const { id } = await listening();
    await submitJob(project);
    expect(untilMs((await tried(id, 1)).nextAttemptAt)).toBeGreaterThan(115_000);
    await submitJob(project);
    await expect.poll(() => deliveriesOf(project, id), patient).toHaveLength(2);
    await laterBy(60_000, () => ring(id));
    expect(received).toHaveLength(1);
    await laterBy(122_000, async () => {
      await ring(id);
      await vi.waitUntil(() => received.length === 3, patient);
    });
    expect(new Set(received.map((one) => one.id)).size).toBe(2);
    await expect.poll(() => deliveriesOf(project, id, { status: "delivered" }), patient).toHaveLength(2);
  });

  it("is not called earlier than the schedule says, whatever it asks for, nor a day later", async () => {
    using _ = scriptReceivers((_, count) =>
      answering(429, { "retry-after": count === 1 ? "0" : String(90 * 86_400) })(),
    );
    const { id } = await listening();
    await submitJob(project);
    expect(untilMs((await tried(id, 1)).nextAttemptAt)).toBeGreaterThan(3_000);
    await laterBy(7_000, async () => {
      await ring(id);
      const { nextAttemptAt } = await tried(id, 2);
      expect(untilMs(nextAttemptAt)).toBeLessThanOrEqual(limits.maxDeliveryRetryAfterSeconds * 1000);
    });
  });
});

describe("fault 30: a receiver that is gone, redirects, or answers without end", () => {
  it("is disabled by a 410, at once and for all that waits, and says so", async () => {
    using received = scriptReceivers((_, count) => answering(count === 1 ? 500 : 410)());
    const { id } = await listening();
    await submitJob(project);
    await tried(id, 1);
    await submitJob(project);
    await vi.waitUntil(() => received.length === 2, patient);
    await expect
      .poll(() => endpointState(project, id), patient)
      .toMatchObject({
        endpoint: { status: "disabled", disabled: { reason: "gone" } },
        pending: 2,
      });
    await submitJob(project);
    await expect.poll(() => deliveriesOf(project, id), patient).toHaveLength(3);
    await laterBy(3_600_000, () => ring(id));
    expect(received).toHaveLength(2);
    await expect
      .poll(() => callEndpoints(project, "list", {}), patient)
      .toMatchObject({ data: { items: [{ id, status: "disabled", disabled: { reason: "gone" } }] } });
    for (const { nextAttemptAt } of await deliveriesOf(project, id)) expect(nextAttemptAt).toBeNull();
    const [first] = await deliveriesOf(project, id);
    const replayed = await callEndpoints(project, "deliveries.replay", { endpointId: id, id: first?.id });
    expect(replayed).toMatchObject({ status: 409, error: { code: "conflict", param: "endpointId" } });
  });

  it("gets what has waited once it is enabled again", async () => {
    using received = scriptReceivers((_, count) => answering(count === 1 ? 410 : 204)());
    const { id } = await listening();
    await submitJob(project);
    await expect.poll(() => endpointState(project, id), patient).toMatchObject({ endpoint: { status: "disabled" } });
    await submitJob(project);
    await expect.poll(() => deliveriesOf(project, id), patient).toHaveLength(2);
    const enabled = await updateEndpoint(project, { id, enabled: true });
    expect(enabled).toMatchObject({ status: "enabled", disabled: null });
    await laterBy(7_000, async () => {
      await ring(id);
      await expect.poll(() => deliveriesOf(project, id, { status: "delivered" }), patient).toHaveLength(2);
    });
    expect(received).toHaveLength(3);
    expect(await callEndpoints(project, "list", {})).toMatchObject({ data: { items: [{ status: "enabled" }] } });
  });

  it.each([301, 302, 303, 307, 308])("that redirects by %i has failed, and is not followed", async (status) => {
    using received = scriptReceivers(answering(status, { location: "https://elsewhere.test/" }));
    const { id } = await listening();
    await submitJob(project);
    expect(await tried(id, 1)).toMatchObject({ status: "pending", lastAttempt: { status, error: "status" } });
    expect(received.map(({ url }) => url)).toEqual([hookUrl]);
  });

  it("that answers without end has its first 1 KB read, and no more", async () => {
    const sent = { bytes: 0, cancelled: false };
    using _ = scriptReceivers(() => {
      const body = new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            controller.enqueue(new TextEncoder().encode("ü".repeat(50)));
            sent.bytes += 100;
          },
          cancel() {
            sent.cancelled = true;
          },
        },
        { highWaterMark: 0 },
      );
      return new Response(body, { status: 200 });
    });
    const { id } = await listening();
    await submitJob(project);
    const { status, lastAttempt } = await tried(id, 1);
    expect(status).toBe("delivered");
    expect(lastAttempt?.answer).toBe("ü".repeat(limits.maxDeliveryAnswerBytes / 2));
    expect(sent.cancelled).toBe(true);
    expect(sent.bytes).toBeLessThan(limits.maxDeliveryAnswerBytes + 200);
  });
});

describe("fault 31: a callback to what weir must not call", () => {
  const refused = { status: 400, error: { code: "invalid_request", param: "url" } };

  it.each([
    "https://127.0.0.1/",
    "https://0x7f.1/",
    "https://[::ffff:10.0.0.1]/",
    "https://metadata.google.internal/",
    "https://10.0.0.1.nip.io/",
    "http://receiver.test/",
    "https://receiver.test:8443/",
    "https://weir.example.com/hooks/trg_1",
    "http://localhost:9000/",
  ])("is refused when it is saved: %s", async (url) => {
    expect(await callEndpoints(project, "create", { url })).toMatchObject(refused);
    const { id } = await listening();
    expect(await callEndpoints(project, "update", { id, url })).toMatchObject(refused);
    expect((await endpointState(project, id)).endpoint.url).toBe(hookUrl);
  });

  it.each(["https://169.254.169.254/latest", "https://127.1/", "http://receiver.test/", "https://weir.example.com/"])(
    "is refused again when a message is sent, whatever is stored: %s",
    async (url) => {
      using received = scriptReceivers(answering(200));
      const { id } = await listening();
      await env.DB.prepare("UPDATE endpoints SET url = ? WHERE id = ?").bind(url, id).run();
      await submitJob(project);
      expect(await tried(id, 1)).toMatchObject({
        status: "pending",
        lastAttempt: { status: null, error: "address_refused", answer: null },
      });
      expect(await callEndpoints(project, "test", { id })).toMatchObject({ data: { error: "address_refused" } });
      expect(received).toHaveLength(0);
    },
  );

  it("is refused by every name that the configuration calls weir's own, at saving and at sending", async () => {
    const named = { OWN_HOSTS: "hooks.example.org, Receiver.test" };
    expect(await callEndpoints(project, "create", { url: hookUrl }, named)).toMatchObject(refused);
    using received = scriptReceivers(answering(200));
    const { id } = await listening();
    const owner = { projectId: project.principal.projectId, endpointId: id };
    await runInDurableObject(endpointObject(id), async (_, state) => {
      const sample = sampleNotice("run.succeeded", Date.now());
      const actor = new EndpointActor(state, { ...env, ...named } as Env);
      expect(await actor.sendSample(owner, sample)).toMatchObject({ status: null, error: "address_refused" });
    });
    expect(received).toHaveLength(0);
    for (const OWN_HOSTS of ["https://receiver.test", "a host"])
      expect(await callEndpoints(project, "list", {}, { OWN_HOSTS })).toMatchObject({ status: 503 });
  });

  it("on this machine is open in development alone", async () => {
    const url = "http://127.0.0.1:9000/hook";
    const open = { WEBHOOKS_ALLOW_LOOPBACK: "true", ENVIRONMENT: "development" };
    expect(await callEndpoints(project, "create", { url }, open)).toMatchObject({ status: 200 });
    expect(await callEndpoints(project, "create", { url })).toMatchObject(refused);
  });

  it("is opened by no configuration of a weir that is deployed", async () => {
    const open = { WEBHOOKS_ALLOW_LOOPBACK: "true" };
    expect(await callEndpoints(project, "create", { url: hookUrl }, open)).toMatchObject({
      status: 503,
      error: { code: "unavailable" },
    });
  });
});
