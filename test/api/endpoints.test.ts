import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { Endpoint, type EndpointWithSecret } from "../../src/contract/endpoints.ts";
import { limits } from "../../src/contract/limits.ts";
import { standardSecretBytes, verifyStandard } from "../../src/core/standardWebhooks.ts";
import {
  callEndpoints,
  deliveriesOf,
  endpointState,
  hookUrl,
  makeEndpoint,
  patient,
  type Received,
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

const ok = () => new Response("thanks", { status: 200 });
const row = (id: string) => env.DB.prepare("SELECT * FROM endpoints WHERE id = ?").bind(id).first();
const list = async (input = {}) =>
  (await callEndpoints<{ items: Endpoint[]; nextCursor: string | null }>(project, "list", input)).data;
const isSignedWith = ({ headers, body }: Received, secret: string) =>
  verifyStandard([secret], (name) => headers.get(name), body, Date.now() / 1000);

describe("an endpoint's secret", () => {
  it("is shown once, of 256 random bits, and encrypted in D1", async () => {
    const answer = await callEndpoints<EndpointWithSecret>(project, "create", { url: hookUrl, description: "mine" });
    const { endpoint, secret } = answer.data;
    expect(Endpoint.strict().parse(endpoint)).toMatchObject({
      url: hookUrl,
      description: "mine",
      events: [],
      status: "enabled",
      disabled: null,
      previousSecretUntil: null,
    });
    expect(secret).toMatch(/^whsec_/);
    expect(standardSecretBytes(secret)).toHaveLength(32);
    const others = [await list(), await endpointState(project, endpoint.id), await row(endpoint.id)];
    others.push(await updateEndpoint(project, { id: endpoint.id, description: "new" }));
    for (const part of [secret, secret.slice("whsec_".length)]) expect(JSON.stringify(others)).not.toContain(part);
    expect(await row(endpoint.id)).toMatchObject({ sealed_secret: expect.stringMatching(/^v1\./) });
  });

  it("is rotated: both sign until the overlap is over, and the one before the last no more", async () => {
    using received = scriptReceivers(ok);
    const { id, secret: first } = await makeEndpoint(project, { events: ["run.succeeded"] });
    const rotate = async (input = {}) =>
      (await callEndpoints<EndpointWithSecret>(project, "rotateSecret", { id, ...input })).data;
    const { secret: second, endpoint } = await rotate({ overlapSeconds: 3_600 });
    expect(second).not.toBe(first);
    expect(Date.parse(endpoint.previousSecretUntil ?? "") - Date.now()).toBeGreaterThan(3_500_000);
    const verified = async (secrets: string[]) => {
      const before = received.length;
      await submitJob(project);
      await vi.waitUntil(() => received.length > before, patient);
      const message = received.at(-1);
      return message && Promise.all(secrets.map((secret) => isSignedWith(message, secret)));
    };
    expect(await verified([first, second])).toEqual([true, true]);
    const { secret: third } = await rotate();
    expect(await verified([first, second, third])).toEqual([false, true, true]);
    const { secret: fourth } = await rotate({ overlapSeconds: 0 });
    expect(await verified([first, second, third, fourth])).toEqual([false, false, false, true]);
  });

  it("is not lost by rotations at the same time: one of them wins, or comes after the other", async () => {
    const { id, secret } = await makeEndpoint(project);
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => callEndpoints<EndpointWithSecret>(project, "rotateSecret", { id })),
    );
    const secrets = answers.flatMap(({ status, data }) => (status === 200 ? [data.secret] : []));
    expect(secrets.length).toBeGreaterThan(0);
    expect(answers.every(({ status }) => status === 200 || status === 409)).toBe(true);
    using received = scriptReceivers(ok);
    await callEndpoints(project, "test", { id });
    const [message] = received;
    if (!message) throw new Error("nothing was sent");
    const valid = await Promise.all([secret, ...secrets].map((one) => isSignedWith(message, one)));
    expect(valid.filter(Boolean)).toHaveLength(2);
  });

  it("needs an ENCRYPTION_KEY", async () => {
    const answer = await callEndpoints(project, "create", { url: hookUrl }, { ENCRYPTION_KEY: "" });
    expect(answer).toMatchObject({ status: 503, error: { code: "unavailable" } });
    expect((await list()).items).toEqual([]);
  });
});

describe("a sample", () => {
  it.each(["run.succeeded", "run.failed", "batch.completed"])(
    "of %s is sent at once, and its result told",
    async (event) => {
      using received = scriptReceivers(ok);
      const { id, secret } = await makeEndpoint(project);
      const { data } = await callEndpoints(project, "test", { id, event });
      expect(data).toMatchObject({ status: 200, error: null, answer: "thanks", durationMs: expect.any(Number) });
      expect(received).toHaveLength(1);
      expect(received[0]?.message).toMatchObject({ type: event, data: { test: true } });
      expect(received[0] && (await isSignedWith(received[0], secret))).toBe(true);
      expect(await deliveriesOf(project, id)).toEqual([]);
    },
  );

  it("tells of a failure, tries nothing again, and leaves the endpoint as it is", async () => {
    using received = scriptReceivers(() => new Response("gone", { status: 410 }));
    const { id } = await makeEndpoint(project);
    await updateEndpoint(project, { id, enabled: false });
    const answer = await callEndpoints(project, "test", { id });
    expect(answer).toMatchObject({ status: 200, data: { status: 410, error: "status", answer: "gone" } });
    expect((await endpointState(project, id)).endpoint.disabled?.reason).toBe("requested");
    expect(received).toHaveLength(1);
  });
});

describe("changing an endpoint", () => {
  it("holds for the next message", async () => {
    using received = scriptReceivers(ok);
    const { id } = await makeEndpoint(project, { events: ["run.succeeded"] });
    await submitJob(project);
    await vi.waitUntil(() => received.length === 1, patient);
    await updateEndpoint(project, { id, url: "https://new.test/in" });
    await submitJob(project);
    await vi.waitUntil(() => received.length === 2, patient);
    expect(received.map(({ url }) => url)).toEqual([hookUrl, "https://new.test/in"]);
    await updateEndpoint(project, { id, events: [] });
    const { runId } = await submitJob(project);
    const named = await submitJob(project, { callback: { endpointId: id } });
    await expect.poll(() => deliveriesOf(project, id, { runId: named.runId }), patient).toHaveLength(1);
    expect(await deliveriesOf(project, id, { runId })).toEqual([]);
  });

  it("holds messages back while it is disabled, and sends them once it is enabled", async () => {
    using received = scriptReceivers(ok);
    const { id } = await makeEndpoint(project, { events: ["run.succeeded"] });
    const disabled = await updateEndpoint(project, { id, enabled: false });
    expect(disabled).toMatchObject({ status: "disabled", disabled: { reason: "requested" } });
    expect((await list()).items).toMatchObject([{ status: "disabled", disabled: { reason: "requested" } }]);
    await submitJob(project);
    await expect.poll(() => endpointState(project, id), patient).toMatchObject({ pending: 1 });
    expect(received).toHaveLength(0);
    await updateEndpoint(project, { id, enabled: true });
    await vi.waitUntil(() => received.length === 1, patient);
    await expect
      .poll(() => endpointState(project, id), patient)
      .toMatchObject({ pending: 0, endpoint: { status: "enabled" } });
  });
});

describe("archiving an endpoint", () => {
  it("drops its secrets and messages, and nothing is sent any more", async () => {
    using received = scriptReceivers(() => new Response(null, { status: 500 }));
    const { id } = await makeEndpoint(project, { events: ["run.succeeded"] });
    await submitJob(project);
    await expect.poll(() => endpointState(project, id), patient).toMatchObject({ pending: 1 });
    await vi.waitUntil(() => received.length === 1, patient);
    const archived = await callEndpoints<Endpoint>(project, "archive", { id });
    expect(archived.data).toMatchObject({ id, archived: true });
    expect(await row(id)).toMatchObject({ sealed_secret: null, sealed_previous: null });
    expect((await callEndpoints(project, "archive", { id })).data).toEqual(archived.data);
    expect(await deliveriesOf(project, id)).toEqual([]);
    await submitJob(project);
    for (const procedure of ["update", "rotateSecret", "test"])
      expect(await callEndpoints(project, procedure, { id })).toMatchObject({ error: { code: "conflict" } });
    const callback = { endpointId: id };
    await expect(submitJob(project, { callback })).rejects.toThrow("callback.endpointId");
    expect(received).toHaveLength(1);
    expect((await list()).items).toEqual([]);
    expect((await list({ archived: true })).items).toMatchObject([{ id, archived: true }]);
  });

  it("makes room where a project has as many as it may", async () => {
    const made = [];
    for (let count = 0; count < limits.maxEndpoints; count++) made.push(await makeEndpoint(project));
    expect(await callEndpoints(project, "create", { url: hookUrl })).toMatchObject({ error: { code: "conflict" } });
    await callEndpoints(project, "archive", { id: made[0]?.id });
    await makeEndpoint(project);
    const { items, nextCursor } = await list({ limit: 15 });
    const rest = await list({ limit: 15, cursor: nextCursor });
    expect(new Set([...items, ...rest.items].map(({ id }) => id)).size).toBe(limits.maxEndpoints);
    expect(rest.nextCursor).toBeNull();
  });
});

it("a project has so many active endpoints and no more, also when several are made at once", async () => {
  const making = Array.from({ length: limits.maxEndpoints + 5 }, () =>
    callEndpoints(project, "create", { url: hookUrl }),
  );
  const statuses = (await Promise.all(making)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(limits.maxEndpoints);
  expect(statuses.filter((status) => status === 409)).toHaveLength(5);
});

it.each([
  ["url", { url: "" }],
  ["url", { url: `https://receiver.test/${"a".repeat(limits.maxEndpointUrlChars)}` }],
  ["description", { description: "a".repeat(501) }],
  ["events.0", { events: ["run.began"] }],
  ["events", { events: ["run.failed", "run.failed"] }],
  ["surprise", { surprise: 1 }],
])("an endpoint is refused for its %s: %j", async (param, input) => {
  const answer = await callEndpoints(project, "create", { url: hookUrl, ...input });
  expect(answer).toMatchObject({ status: 400, error: { code: "invalid_request", param } });
});

it("an endpoint that has failed for five days is disabled, and says so", async () => {
  using received = scriptReceivers(() => new Response(null, { status: 500 }));
  const { id } = await makeEndpoint(project, { events: ["run.succeeded"] });
  await submitJob(project);
  await expect.poll(() => deliveriesOf(project, id), patient).toMatchObject([{ attempts: 1 }]);
  expect((await endpointState(project, id)).failingSince).not.toBeNull();
  const failLater = (ms: number) =>
    laterBy(ms, async () => {
      const [delivery] = await deliveriesOf(project, id);
      await callEndpoints(project, "deliveries.replay", { endpointId: id, id: delivery?.id });
      await expect
        .poll(() => deliveriesOf(project, id), patient)
        .toMatchObject([{ attempts: (delivery?.attempts ?? 0) + 1 }]);
    });
  await failLater(limits.endpointFailingMs - 60_000);
  expect((await endpointState(project, id)).endpoint.status).toBe("enabled");
  await failLater(limits.endpointFailingMs + 1_000);
  expect((await endpointState(project, id)).endpoint).toMatchObject({
    status: "disabled",
    disabled: { reason: "failing" },
  });
  await expect
    .poll(() => list(), patient)
    .toMatchObject({ items: [{ status: "disabled", disabled: { reason: "failing" } }] });
  expect(received).toHaveLength(3);
});
