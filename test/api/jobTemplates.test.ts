import { beforeEach, describe, expect, it } from "vitest";
import type { JobResult, JobTicket } from "../../src/contract/jobs.ts";
import { limits } from "../../src/contract/limits.ts";
import { callWeir, chat, completion, delta, event, events, scriptUpstream, storedRun } from "../support/call.ts";
import { callJobs, submitJob, textOf, watchJob } from "../support/jobs.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";
import { laterBy } from "../support/sweep.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const hello = () => events(delta("Hello"), delta("", "stop"), event("[DONE]"));
const content = (text: string) => ({ messages: [{ role: "user", content: text }], model: "test-model" });
const hi = content("Hi {{name}}");
const resultOf = async (runId: string) => (await callJobs<JobResult>("result", project, { runId })).data;

async function templates(procedure: string, body: object): Promise<void> {
  const { response } = await callWeir(`/trpc/templates.${procedure}`, { secret: project.secret, body });
  expect(response.status, await response.text()).toBe(200);
}

describe("a job of a template", () => {
  it("is rendered when it is accepted, and repeated by the same or by the newest version", async () => {
    using sent = scriptUpstream(hello);
    await templates("create", { name: "greet", content: content("Hi {{name}}"), listed: true });
    const input = { template: "greet", variables: { name: "Ada" }, model: undefined, messages: undefined };
    const first = await submitJob(project, { ...input, delayMs: 100 });
    await templates("save", { name: "greet", content: content("Welcome {{name}}") });
    const run = (await resultOf(first.runId)).run;
    expect(run?.template).toMatchObject({ name: "greet", version: 1, label: "production" });
    for (const version of ["same", "newest"]) {
      const again = await callJobs<JobTicket>("retry", project, { runId: first.runId, version });
      expect(again.data).toMatchObject({ retryOf: first.runId });
      await resultOf(again.data.runId);
    }
    const asked = sent.map(({ body }) => (body["messages"] as { content: string }[])[0]?.content);
    expect(asked).toEqual(["Hi Ada", "Hi Ada", "Welcome Ada"]);
  });

  it("can be submitted and watched by a publishable key, and repeated as it was or as production is", async () => {
    using _sent = scriptUpstream(hello);
    await templates("create", { name: "greet", content: content("Hi {{name}}"), listed: true });
    const { principal } = project;
    const { secret } = await insertTestKey(principal.projectId, { kind: "publishable", origins: ["https://a.test"] });
    const visitor = { secret, origin: "https://a.test" };
    const { data } = await callJobs<JobTicket>("submit", visitor, { template: "greet", variables: { name: "Bo" } });
    expect(await callJobs("result", visitor, { runId: data.runId })).toMatchObject({ data: { content: "Hello" } });
    for (const version of ["same", "newest"]) {
      const again = await callJobs<JobTicket>("retry", visitor, { runId: data.runId, version });
      expect(again.data).toMatchObject({ retryOf: data.runId });
      expect(await resultOf(again.data.runId)).toMatchObject({ content: "Hello" });
    }
  });
});

describe("a job of a publishable key", () => {
  it.each([
    ["is archived", "template", () => templates("archive", { name: "greet" })],
    ["is not listed any more", "template", () => templates("save", { name: "greet", listed: false, content: hi })],
    [
      "is offered in another version by now",
      "version",
      async () => {
        await templates("save", { name: "greet", content: content("Welcome {{name}}") });
        await templates("label", { name: "greet", label: "production", version: 2 });
      },
    ],
  ])("is not repeated as it was once its template %s", async (_, param, change) => {
    using sent = scriptUpstream(hello);
    await templates("create", { name: "greet", content: hi, listed: true });
    const { principal } = project;
    const { secret } = await insertTestKey(principal.projectId, { kind: "publishable", origins: ["https://a.test"] });
    const visitor = { secret, origin: "https://a.test" };
    const { data } = await callJobs<JobTicket>("submit", visitor, { template: "greet", variables: { name: "Bo" } });
    await resultOf(data.runId);
    await change();
    await laterBy(limits.maxCacheAgeMs, async () => {
      const same = await callJobs("retry", visitor, { runId: data.runId, version: "same" });
      expect(same).toMatchObject({ status: 404, error: { code: "not_found", param } });
    });
    expect(sent).toHaveLength(1);
    // Whose template it is may repeat what it has run.
    const own = await callJobs<JobTicket>("retry", project, { runId: data.runId, version: "same" });
    expect(await resultOf(own.data.runId)).toMatchObject({ status: "succeeded" });
  });
});

describe("a run that was relayed", () => {
  it("is watched from the run log, and is no job to repeat", async () => {
    using _sent = scriptUpstream(() => completion("whole"));
    const { response, settled } = await chat(project.secret);
    const runId = response.headers.get("x-weir-run-id") ?? "";
    await response.text();
    await settled();
    await using watching = await watchJob(project, runId);
    const told = await watching.rest();
    expect(told.map(({ type }) => type)).toEqual(["delta", "done"]);
    expect(textOf(told)).toBe("whole");
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "whole" });
    expect((await callJobs("cancel", project, { runId })).data).toEqual({ runId, status: "succeeded" });
    expect(await callJobs("retry", project, { runId })).toMatchObject({ error: { code: "conflict", param: "runId" } });
  });
});

describe("a project that keeps no contents", () => {
  it("keeps none of its jobs either, and cannot repeat them", async () => {
    using _sent = scriptUpstream(hello);
    project = await insertTestProject({ keepContents: false });
    const { runId } = await submitJob(project);
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "Hello" });
    await expect.poll(() => storedRun(runId)).toMatchObject({ status: "succeeded" });
    const conflict = { error: { code: "conflict", param: "runId" } };
    await expect.poll(() => callJobs("retry", project, { runId })).toMatchObject(conflict);
  });
});

describe("a deleted run", () => {
  it("is gone from its object too", async () => {
    using _sent = scriptUpstream(hello);
    const { runId } = await submitJob(project);
    await resultOf(runId);
    await expect.poll(() => storedRun(runId)).toMatchObject({ status: "succeeded" });
    const { response } = await callWeir("/trpc/runs.delete", { secret: project.secret, body: { id: runId } });
    expect(response.status, await response.text()).toBe(200);
    expect(await callJobs("result", project, { runId, waitMs: 0 })).toMatchObject({ error: { code: "not_found" } });
  });
});
