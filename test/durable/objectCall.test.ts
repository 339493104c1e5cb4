import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { JobTicket } from "../../src/contract/jobs.ts";
import { jobBindings } from "../../src/durable/jobBindings.ts";
import type { Env } from "../../src/env.ts";
import { echo, ended, makeTemplate, saying, submitBatch } from "../support/batches.ts";
import { callWeir, delta, event, events, scriptUpstream, storedRun } from "../support/call.ts";
import { callEndpoints, makeEndpoint } from "../support/endpoints.ts";
import { callJobs, heldUpstream, submitJob } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const hello = () => events(delta("Hello"), delta("", "stop"), event("[DONE]"));
const restart = (marks: object = { retryable: true }) =>
  Object.assign(new Error("Durable Object reset because its code was updated."), marks);

/** Objects of which the first so many calls of a method fail. */
function failing(namespace: DurableObjectNamespace, method: string, { times = 1, error = restart() } = {}) {
  const calls = { count: 0 };
  const get = (id: DurableObjectId) => {
    const stub = namespace.get(id);
    const call = (name: string, args: unknown[]) => {
      if (name === method && calls.count++ < times) return Promise.reject(error);
      return (stub as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[name]?.(...args);
    };
    return new Proxy(
      {},
      {
        get:
          (_, name) =>
          (...args: unknown[]) =>
            call(String(name), args),
      },
    );
  };
  const objects = { idFromName: (name: string) => namespace.idFromName(name), get };
  return { calls, objects: objects as unknown as DurableObjectNamespace };
}

async function underWay(): Promise<string> {
  const { runId } = await submitJob(project);
  await vi.waitUntil(() => callJobs<{ status: string }>("result", project, { runId, waitMs: 0 }));
  return runId;
}

describe("a call that meets the restart of a job's object", () => {
  it.each([
    ["/trpc/jobs.cancel", (runId: string) => ({ path: "/trpc/jobs.cancel", body: { runId } })],
    ["/v1/runs/:id/cancel", (runId: string) => ({ path: `/v1/runs/${runId}/cancel`, method: "POST" })],
  ])("of %s cancels it all the same", async (_, asked) => {
    using _sent = scriptUpstream(() => heldUpstream().answer());
    const runId = await underWay();
    const { path, ...more } = asked(runId);
    const { objects } = failing(env.JOBS, "cancel");
    const { response } = await callWeir(path, { secret: project.secret, env: { JOBS: objects }, ...more });
    expect(response.status, await response.text()).toBe(200);
    await expect.poll(() => storedRun(runId)).toMatchObject({ status: "cancelled" });
  });

  it("of jobs.submit starts it", async () => {
    using sent = scriptUpstream(hello);
    const { objects, calls } = failing(env.JOBS, "start", { error: restart({ durableObjectReset: true }) });
    const body = { model: "m", messages: [{ role: "user", content: "Hi" }] };
    const { response } = await callWeir("/trpc/jobs.submit", { secret: project.secret, body, env: { JOBS: objects } });
    const { result } = (await response.json()) as { result: { data: JobTicket } };
    await expect.poll(() => storedRun(result.data.runId)).toMatchObject({ status: "succeeded" });
    expect(calls.count).toBe(2);
    expect(sent).toHaveLength(1);
  });

  it("of jobs.result tells it", async () => {
    using _sent = scriptUpstream(hello);
    const { runId } = await submitJob(project);
    const { objects } = failing(env.JOBS, "watch", { times: 3 });
    const query = `?input=${encodeURIComponent(JSON.stringify({ runId }))}`;
    const asked = { secret: project.secret, env: { JOBS: objects } };
    const { response } = await callWeir(`/trpc/jobs.result${query}`, asked);
    expect(await response.json()).toMatchObject({ result: { data: { status: "succeeded", content: "Hello" } } });
  });

  it("of runs.delete removes its events", async () => {
    using _sent = scriptUpstream(hello);
    const { runId } = await submitJob(project);
    await expect.poll(() => storedRun(runId)).toMatchObject({ status: "succeeded" });
    const { objects } = failing(env.JOBS, "forget");
    const asked = { secret: project.secret, env: { JOBS: objects }, body: { id: runId } };
    expect((await callWeir("/trpc/runs.delete", asked)).response.status).toBe(200);
    expect(await callJobs("result", project, { runId, waitMs: 0 })).toMatchObject({ error: { code: "not_found" } });
  });
});

describe("a call of a job's object that fails again", () => {
  it.each([
    ["as it is restarted once more", { times: 2 }, 2],
    ["as it is overloaded, which is not asked again", { error: restart({ overloaded: true, retryable: true }) }, 1],
  ])("%s is told as unavailable, with when to come back", async (_, how, expected) => {
    using _sent = scriptUpstream(() => heldUpstream().answer());
    const runId = await underWay();
    const { objects, calls } = failing(env.JOBS, "cancel", how);
    const asked = { secret: project.secret, env: { JOBS: objects }, body: { runId } };
    const { response } = await callWeir("/trpc/jobs.cancel", asked);
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("2");
    expect(calls.count).toBe(expected);
    await callJobs("cancel", project, { runId });
  });
});

it("a batch's object that is restarted is called again", async () => {
  using _sent = scriptUpstream(echo);
  await makeTemplate(project);
  const BATCHES = failing(env.BATCHES, "arm");
  const { batchId } = await submitBatch(
    project,
    { items: saying("a"), delayMs: 3_600_000 },
    { BATCHES: BATCHES.objects },
  );
  const { objects } = failing(env.BATCHES, "cancel");
  const asked = { secret: project.secret, env: { BATCHES: objects }, body: { batchId } };
  expect((await callWeir("/trpc/jobs.cancelBatch", asked)).response.status).toBe(200);
  expect(await ended(project, batchId)).toMatchObject({ cancelled: 1 });
});

it("a gate that is restarted is asked again for a slot", async () => {
  const { objects, calls } = failing(env.GATES, "requestSlot");
  const slots = jobBindings({ ...env, GATES: objects } as Env).slotsOf("prj_restarted");
  const request = { priority: 0, acceptedAtMs: 1, upstream: "u", maxJobs: { project: null, upstream: null } };
  expect(await slots.requestSlot("run_1", request)).toBe("admitted");
  await slots.releaseSlot("run_1");
  expect(calls.count).toBe(2);
});

it("an endpoint's object that is restarted is called again, but not for a sample: a second one would be sent", async () => {
  const { id } = await makeEndpoint(project);
  const state = failing(env.ENDPOINTS, "state");
  expect(await callEndpoints(project, "get", { id }, { ENDPOINTS: state.objects })).toMatchObject({ status: 200 });
  expect(state.calls.count).toBe(2);
  const sample = failing(env.ENDPOINTS, "sendSample");
  expect(await callEndpoints(project, "test", { id }, { ENDPOINTS: sample.objects })).toMatchObject({ status: 500 });
  expect(sample.calls.count).toBe(1);
});

it("a batch's and an endpoint's object that are restarted are told again of an end", async () => {
  const batches = failing(env.BATCHES, "ended");
  const endpoints = failing(env.ENDPOINTS, "accept");
  const bindings = jobBindings({ ...env, BATCHES: batches.objects, ENDPOINTS: endpoints.objects } as Env);
  await bindings.tellBatch({ projectId: "prj_restarted", batchId: "bat_restarted" }, undefined);
  await bindings.acceptNotices({ projectId: "prj_restarted", endpointId: "end_restarted" }, [], 1_000);
  expect([batches.calls.count, endpoints.calls.count]).toEqual([2, 2]);
});
