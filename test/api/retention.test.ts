import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import type { JobResult } from "../../src/contract/jobs.ts";
import {
  callWeir,
  chat,
  completion,
  delta,
  event,
  events,
  scriptUpstream,
  storedContents,
  storedRun,
} from "../support/call.ts";
import { usageOf } from "../support/faults.ts";
import { callJobs, jobObject, submitJob, textOf, watchJob } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";
import { dayMs, hourMs, laterBy, sweepIn } from "../support/sweep.ts";

const hello = () => events(delta("Hel"), delta("lo"), delta("", "stop"), event("[DONE]"));

async function listed({ secret }: TestKey, filter: Record<string, unknown>): Promise<string[]> {
  const input = encodeURIComponent(JSON.stringify(filter));
  const { response } = await callWeir(`/trpc/runs.list?input=${input}`, { secret });
  const { result } = (await response.json()) as { result: { data: { items: { id: string }[] } } };
  return result.data.items.map(({ id }) => id);
}

it("keeps contents as long as the project says: what was said is gone then, that it was said is not", async () => {
  const project = await insertTestProject({ retentionDays: 2 });
  const forEver = await insertTestProject();
  using _sent = scriptUpstream(() => completion("a parcel"));
  const ids: string[] = [];
  for (const { secret } of [project, forEver]) {
    const { response, settled } = await chat(secret, { metadata: { user: "u1" } });
    await settled();
    ids.push(response.headers.get("x-weir-run-id") ?? "");
  }
  const [id = "", kept = ""] = ids;
  await sweepIn(2 * dayMs - hourMs);
  expect(await listed(project, { text: "parcel" })).toEqual([id]);

  await sweepIn(2 * dayMs + hourMs);
  expect(await storedContents(id)).toBeNull();
  expect(await listed(project, { text: "parcel" })).toEqual([]);
  expect(await listed(project, { metadata: { user: "u1" }, status: "succeeded" })).toEqual([id]);
  expect(await storedRun(id)).toMatchObject({ status: "succeeded", completion_tokens: 72 });
  expect(await usageOf(project.principal.projectId)).toMatchObject({ runs: 1 });
  expect(await storedContents(kept)).not.toBeNull();
  expect(await listed(forEver, { text: "parcel" })).toEqual([kept]);
});

it("drops what repeats a job with the job's contents", async () => {
  const project = await insertTestProject({ retentionDays: 1 });
  using _sent = scriptUpstream(hello);
  const { runId } = await submitJob(project);
  await expect.poll(() => storedRun(runId), { timeout: 4_000 }).toMatchObject({ status: "succeeded" });
  expect((await callJobs("retry", project, { runId })).status).toBe(200);
  await sweepIn(dayMs + hourMs);
  expect(await storedContents(runId)).toBeNull();
  expect(await callJobs("retry", project, { runId })).toMatchObject({ status: 409, error: { param: "runId" } });
  const stored = await env.DB.prepare("SELECT spec FROM jobs JOIN runs USING (seq) WHERE id = ?").bind(runId).first();
  expect(stored).toEqual({ spec: null });
});

it("drops the object of a finished job a day after its end; its watchers are answered from the run log", async () => {
  const project = await insertTestProject();
  using sent = scriptUpstream(hello);
  const { runId } = await submitJob(project);
  await expect.poll(() => storedRun(runId), { timeout: 4_000 }).toMatchObject({ status: "succeeded" });
  const tables = () =>
    runInDurableObject(jobObject(runId), (_, { storage }) => [
      ...storage.sql.exec("SELECT name FROM sqlite_master WHERE name IN ('job', 'events')"),
    ]);
  await laterBy(dayMs - hourMs, () => runDurableObjectAlarm(jobObject(runId)));
  expect(await tables()).toHaveLength(2);
  await laterBy(dayMs + hourMs, () => runDurableObjectAlarm(jobObject(runId)));
  expect(await tables()).toEqual([]);
  expect(await runInDurableObject(jobObject(runId), (_, { storage }) => storage.getAlarm())).toBeNull();

  await using watching = await watchJob(project, runId);
  const told = await watching.rest();
  expect(told.map(({ type }) => type)).toEqual(["delta", "done"]);
  expect(textOf(told)).toBe("Hello");
  expect((await callJobs<JobResult>("result", project, { runId })).data).toMatchObject({ content: "Hello" });
  expect(sent).toHaveLength(1);
});

it("says that an answer is not kept, where contents are not and the object is gone: it never tells of an empty one", async () => {
  const project = await insertTestProject({ keepContents: false });
  using _sent = scriptUpstream(hello);
  const { runId } = await submitJob(project);
  await expect.poll(() => storedRun(runId), { timeout: 4_000 }).toMatchObject({ status: "succeeded" });
  await laterBy(dayMs + hourMs, () => runDurableObjectAlarm(jobObject(runId)));

  for (const seen of [undefined, 2]) {
    await using watching = await watchJob(project, runId, seen);
    expect(await watching.rest()).toMatchObject([{ type: "done", answerKept: false, run: { status: "succeeded" } }]);
  }
  const { data } = await callJobs<JobResult>("result", project, { runId });
  expect(data).toMatchObject({ status: "succeeded", content: null, answerKept: false });
  const { secret } = project;
  const { response: run } = await callWeir(`/v1/runs/${runId}`, { secret });
  expect(await run.json()).toMatchObject({ status: "succeeded", answer: null, error: null });
  const { response: told } = await callWeir(`/v1/runs/${runId}/events`, { secret });
  const text = await told.text();
  expect(text).toContain("The answer of this run is not kept any more.");
  expect(text).not.toContain("[DONE]");
});

it("says that an answer is cut, where the object is gone and the run log could not hold all of it", {
  timeout: 30_000,
}, async () => {
  const project = await insertTestProject();
  const { secret } = project;
  // As JSON it takes twice its length, and the run log holds half of that.
  const pieces = Array.from({ length: 700 }, () => delta('"'.repeat(1_000)));
  using _sent = scriptUpstream(() => events(...pieces, delta("the end", "stop"), event("[DONE]")));
  const { runId } = await submitJob(project);
  await expect.poll(() => storedRun(runId), { timeout: 20_000 }).toMatchObject({ status: "succeeded" });
  const result = async () => (await callJobs<JobResult>("result", project, { runId })).data;
  const whole = await result();
  expect([whole.content?.length, whole.answerCut]).toEqual([700_007, undefined]);
  await laterBy(dayMs + hourMs, () => runDurableObjectAlarm(jobObject(runId)));

  await using watching = await watchJob(project, runId);
  expect(await watching.rest()).toMatchObject([{ type: "delta" }, { type: "done", answerCut: true }]);
  const cut = await result();
  expect(cut).toMatchObject({ status: "succeeded", answerCut: true });
  expect(cut.content?.length).toBeLessThan(700_007);
  const { response: run } = await callWeir(`/v1/runs/${runId}`, { secret });
  const choices = [{ finish_reason: null, message: { content: cut.content } }];
  expect(await run.json()).toMatchObject({ status: "succeeded", answer_cut: true, answer: { choices } });
  const { response: told } = await callWeir(`/v1/runs/${runId}/events`, { secret });
  const text = await told.text();
  expect(text).toContain("The rest of the answer of this run is not kept any more.");
  expect(text).not.toMatch(/\[DONE\]|"finish_reason":"/);
});

it("drops idempotency keys that nobody has used again", async () => {
  const project = await insertTestProject();
  using sent = scriptUpstream(() => completion("ok"));
  const send = async (key: string) => {
    const { response, settled } = await chat(project.secret, {}, { headers: { "idempotency-key": key } });
    await response.text();
    await settled();
  };
  const keys = () =>
    env.DB.prepare("SELECT key FROM idempotency WHERE project_id = ?")
      .bind(project.principal.projectId)
      .all()
      .then(({ results }) => results.map(({ key }) => key));
  await send("first");
  await sweepIn(dayMs - hourMs);
  expect(await keys()).toEqual(["first"]);
  await sweepIn(dayMs + hourMs);
  expect(await keys()).toEqual([]);
  await send("first");
  expect(sent).toHaveLength(2);
});
