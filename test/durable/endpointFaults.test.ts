import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import type { Notice } from "../../src/core/webhookMessages.ts";
import { sampleNotice } from "../../src/core/webhookSamples.ts";
import { EndpointActor } from "../../src/durable/endpointActor.ts";
import type { Env } from "../../src/env.ts";
import {
  deliveriesOf,
  endpointObject,
  makeEndpoint,
  patient,
  scriptReceivers,
  updateEndpoint,
} from "../support/endpoints.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

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
});
