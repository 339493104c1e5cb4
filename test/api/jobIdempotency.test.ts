import { beforeEach, describe, expect, it } from "vitest";
import type { BatchTicket } from "../../src/contract/jobBatches.ts";
import type { JobTicket } from "../../src/contract/jobs.ts";
import { limits } from "../../src/contract/limits.ts";
import type { RunObject } from "../../src/contract/openaiRuns.ts";
import type { Env } from "../../src/env.ts";
import { callBatches, ended } from "../support/batches.ts";
import { callWeir, chat, completion, delta, event, events, scriptUpstream, storedRun } from "../support/call.ts";
import { callJobs, submitJob } from "../support/jobs.ts";
import { background } from "../support/openaiRuns.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";
import { laterBy } from "../support/sweep.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const hello = () => events(delta("Hello"), delta("", "stop"), event("[DONE]"));
const content = (text: string, model = "test-model") => ({ messages: [{ role: "user", content: text }], model });
/** In an isolate that remembers nothing. */
const afterwards = <T>(work: () => Promise<T>) => laterBy(limits.maxCacheAgeMs, work);

async function templates(procedure: string, body: object): Promise<void> {
  const { response } = await callWeir(`/trpc/templates.${procedure}`, { secret: project.secret, body });
  expect(response.status, await response.text()).toBe(200);
}

/** A minute's requests are used up. */
const exhausted: Partial<Env> = { RATE_LIMIT_60: { limit: async () => ({ success: false }) } };

async function visitor(): Promise<{ secret: string; origin: string }> {
  const origin = "https://a.test";
  const { secret } = await insertTestKey(project.principal.projectId, { kind: "publishable", origins: [origin] });
  return { secret, origin };
}

describe("the same request under the same key is the same run", () => {
  const input = { template: "greet", variables: { name: "Ada" }, idempotencyKey: "once" };
  const closed = { type: "object", properties: { other: { type: "string" } }, required: ["other"] };

  // First: ids never go back in time, and it is by its id that a batch may start.
  it("as a batch", async () => {
    using sent = scriptUpstream(hello);
    await templates("create", { name: "greet", content: content("Hi {{name}}") });
    const items = [{ variables: { name: "Ada" } }, { variables: { name: "Bo" } }];
    const batch = { template: "greet", items, idempotencyKey: "once" };
    const first = await callBatches<BatchTicket>("submitBatch", project, { input: batch });
    await ended(project, first.data.batchId);
    await templates("archive", { name: "greet" });
    await afterwards(async () => {
      expect(await callBatches("submitBatch", project, { input: batch })).toEqual(first);
      const other = await callBatches("submitBatch", project, { input: { ...batch, priority: 1 } });
      expect(other).toMatchObject({ error: { code: "not_found", param: "template" } });
    });
    expect(sent).toHaveLength(2);
  });

  it.each([
    ["was archived", () => templates("archive", { name: "greet" })],
    [
      "takes other variables by now",
      async () => {
        await templates("save", { name: "greet", content: { ...content("Hi {{other}}"), variables: closed } });
        await templates("label", { name: "greet", label: "production", version: 2, allowBreaking: true });
      },
    ],
  ])("though its template %s", async (_, change) => {
    using sent = scriptUpstream(hello);
    await templates("create", { name: "greet", content: content("Hi {{name}}") });
    const first = await callJobs<JobTicket>("submit", project, input);
    await change();
    const [again, other] = await afterwards(async () => [
      await callJobs<JobTicket>("submit", project, input),
      await callJobs("submit", project, { ...input, variables: { name: "Bo" } }),
    ]);
    expect(again).toEqual(first);
    // What was not accepted before is told why it is refused.
    expect([400, 404]).toContain(other?.status);
    await expect.poll(() => storedRun(first.data.runId)).toMatchObject({ status: "succeeded" });
    expect(sent).toHaveLength(1);
  });

  it("though the key's rate is used up; and so it is when a job is repeated", async () => {
    using sent = scriptUpstream(hello);
    const { secret } = await insertTestKey(project.principal.projectId, { requestsPerMinute: 60 });
    const first = await submitJob({ secret }, { idempotencyKey: "k" });
    const retry = { runId: first.runId, idempotencyKey: "again" };
    const repeated = await callJobs<JobTicket>("retry", { secret }, retry);
    const asked = async (procedure: string, body: object) =>
      (await callWeir(`/trpc/jobs.${procedure}`, { secret, body, env: exhausted })).response;
    const submitted = { ...content("Hi"), idempotencyKey: "k" };
    expect(await (await asked("submit", submitted)).json()).toEqual({ result: { data: first } });
    expect(await (await asked("retry", retry)).json()).toEqual({ result: { data: repeated.data } });
    expect((await asked("submit", { ...submitted, priority: 1 })).status).toBe(429);
    expect((await asked("submit", { ...submitted, idempotencyKey: "new" })).status).toBe(429);
    await expect.poll(() => sent.length).toBe(2);
  });

  it("on /v1, told with the model and the metadata that it was accepted with", async () => {
    using sent = scriptUpstream(hello);
    await templates("create", { name: "greet", content: content("Hi {{name}}") });
    const body = { model: "template:greet", messages: [], metadata: { name: "Ada", team: "a" } };
    const ask = async () => {
      const response = await background(project, body, { "idempotency-key": "once" });
      expect(response.status).toBe(202);
      return (await response.json()) as RunObject;
    };
    const first = await ask();
    expect(first).toMatchObject({ model: "test-model", metadata: { team: "a" } });
    await templates("save", { name: "greet", content: content("Hello {{name}}", "another-model") });
    await templates("label", { name: "greet", label: "production", version: 2 });
    expect(await afterwards(ask)).toEqual(first);
    await templates("archive", { name: "greet" });
    expect(await afterwards(ask)).toEqual(first);
    await expect.poll(() => sent.length).toBe(1);
  });
});

describe("the idempotency keys of a publishable key", () => {
  it("are its own: they take none of the project's, for jobs", async () => {
    using sent = scriptUpstream(hello);
    await templates("create", { name: "greet", content: content("Hi {{name}}"), listed: true });
    const [one, other] = [await visitor(), await visitor()];
    const input = { template: "greet", variables: { name: "Bo" }, idempotencyKey: "order-1" };
    const theirs = await callJobs<JobTicket>("submit", one, input);
    const ours = await callJobs<JobTicket>("submit", project, { ...content("order"), idempotencyKey: "order-1" });
    expect([theirs.status, ours.status]).toEqual([200, 200]);
    expect((await callJobs<JobTicket>("submit", other, input)).data.runId).not.toBe(theirs.data.runId);
    expect(await callJobs("submit", one, input)).toEqual(theirs);
    // As long as a key may be, it is told apart by its end.
    const long = (end: string) => ({ ...input, idempotencyKey: end.padStart(limits.maxIdempotencyKeyChars, "k") });
    const [a, b] = [await callJobs("submit", one, long("a")), await callJobs("submit", one, long("b"))];
    expect([a.status, b.status]).toEqual([200, 200]);
    expect(a.data).not.toEqual(b.data);
    await expect.poll(() => sent.length).toBe(5);
  });

  it("are its own for completions too", async () => {
    using _sent = scriptUpstream(() => completion("Hello"));
    await templates("create", { name: "greet", content: content("Hi {{name}}"), listed: true });
    const { secret, origin } = await visitor();
    const keyed = { headers: { "idempotency-key": "order-1", origin } };
    const asked = { model: "template:greet", messages: [], metadata: { name: "Bo" } };
    const theirs = await chat(secret, asked, keyed);
    expect(theirs.response.status).toBe(200);
    await theirs.settled();
    const ours = await chat(project.secret, {}, { headers: { "idempotency-key": "order-1" } });
    expect(ours.response.status).toBe(200);
    expect(ours.response.headers.get("idempotency-replayed")).toBeNull();
    await ours.settled();
    const again = await chat(secret, asked, keyed);
    expect(again.response.headers.get("idempotency-replayed")).toBe("true");
  });
});
