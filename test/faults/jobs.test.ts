import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { JobEvent, JobResult, JobTicket } from "../../src/contract/jobs.ts";
import { delta, event, events, scriptUpstream, storedContents, storedRun } from "../support/call.ts";
import { usageOf } from "../support/faults.ts";
import { callJobs, heldUpstream, jobObject, submitJob, textOf, watchJob } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const hello = () => events(delta("Hel"), delta("lo"), delta("", "stop"), event("[DONE]"));
const resultOf = async (runId: string) => (await callJobs<JobResult>("result", project, { runId })).data;
const question = { model: "test-model", messages: [{ role: "user", content: "Hi" }] };
const runsOf = ({ principal }: TestKey) =>
  env.DB.prepare("SELECT count(*) n FROM runs WHERE project_id = ?").bind(principal.projectId).first<number>("n");

/** The one end of a job on record: one row, counted once. */
async function expectOneEnd(runId: string, status: string): Promise<void> {
  await expect.poll(() => storedRun(runId)).toMatchObject({ status });
  expect(await runsOf(project)).toBe(1);
  expect(await usageOf(project.principal.projectId)).toMatchObject({ runs: 1 });
}

/** Reads until a delta has come. */
async function untilDelta(watching: Awaited<ReturnType<typeof watchJob>>): Promise<JobEvent[]> {
  const told: JobEvent[] = [];
  while (told.at(-1)?.type !== "delta") {
    const next = await watching.next();
    if (!next) throw new Error("the watch ended before a delta");
    told.push(next);
  }
  return told;
}

/** What a crash or a deployment leaves of the objects: their storage. Their alarms come back to them. */
async function crash(runId: string): Promise<void> {
  await abortAllDurableObjects();
  await runDurableObjectAlarm(jobObject(runId));
}

describe("fault 24: one job submitted many times at once", () => {
  it("20 at once are one run, one upstream call and 20 equal answers", async () => {
    using sent = scriptUpstream(hello);
    const input = { ...question, idempotencyKey: "race" };
    const answers = await Promise.all(Array.from({ length: 20 }, () => callJobs<JobTicket>("submit", project, input)));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    const { runId } = answers[0]?.data ?? { runId: "" };
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "Hello" });
    expect((await callJobs("submit", project, input)).data).toEqual(answers[0]?.data);
    expect(sent).toHaveLength(1);
    await expectOneEnd(runId, "succeeded");
  });
});

describe("fault 36: an idempotency key of jobs", () => {
  it("with another request is a conflict that names the first run, and calls nobody", async () => {
    using sent = scriptUpstream(hello);
    const { runId } = await submitJob(project, { idempotencyKey: "k" });
    await resultOf(runId);
    for (const more of [{ priority: 1 }, { params: { temperature: 1 } }, { model: "other" }]) {
      const answer = await callJobs("submit", project, { ...question, idempotencyKey: "k", ...more });
      expect(answer).toMatchObject({ status: 409, error: { code: "conflict", param: "idempotencyKey" } });
    }
    expect(sent).toHaveLength(1);
    expect(await runsOf(project)).toBe(1);
  });

  it("of another project is another key", async () => {
    using sent = scriptUpstream(hello);
    const first = await submitJob(project, { idempotencyKey: "k" });
    const other = await insertTestProject();
    const second = await submitJob(other, { idempotencyKey: "k", priority: 3 });
    expect(second.runId).not.toBe(first.runId);
    await vi.waitUntil(() => sent.length === 2);
    await resultOf(first.runId);
    await callJobs("result", other, { runId: second.runId });
  });
});

describe("fault 25: an object that is lost", () => {
  it("before the job starts: it starts at its time", async () => {
    using sent = scriptUpstream(hello);
    const { runId } = await submitJob(project, { delayMs: 300 });
    await evictDurableObject(jobObject(runId));
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "Hello" });
    expect(sent).toHaveLength(1);
    await expectOneEnd(runId, "succeeded");
  });

  it("before the first token: a new attempt, and both are on record", async () => {
    const silent = heldUpstream();
    using sent = scriptUpstream(() => (sent.length === 1 ? silent.answer() : hello()));
    const { runId } = await submitJob(project);
    await vi.waitUntil(() => sent.length === 1);
    await crash(runId);
    const result = await resultOf(runId);
    expect(result).toMatchObject({ status: "succeeded", content: "Hello" });
    expect(result.run?.attempts).toMatchObject([{ error: "unavailable" }, { status: 200, error: null }]);
    expect(sent).toHaveLength(2);
    await expectOneEnd(runId, "succeeded");
  });

  it("and is cancelled before it is taken up again: the attempt is on record as lost", async () => {
    const silent = heldUpstream();
    using sent = scriptUpstream(() => silent.answer());
    const { runId } = await submitJob(project);
    await vi.waitUntil(() => sent.length === 1);
    await abortAllDurableObjects();
    await callJobs("cancel", project, { runId });
    const { run } = await resultOf(runId);
    expect(run).toMatchObject({ status: "cancelled", attempts: [{ error: "unavailable" }] });
    await expectOneEnd(runId, "cancelled");
  });

  it("mid-stream: interrupted with the partial text, which watchers come back to", async () => {
    const upstream = heldUpstream();
    using sent = scriptUpstream(() => upstream.answer());
    const { runId } = await submitJob(project);
    await using watching = await watchJob(project, runId);
    upstream.send(delta("half a"));
    const told = await untilDelta(watching);
    await crash(runId);
    told.push(...(await watching.rest()));
    expect(told.map(({ seq }) => seq)).toEqual(told.map((_, at) => at + 1));
    expect(textOf(told)).toBe("half a");
    expect(told.at(-1)).toMatchObject({ type: "done", run: { status: "interrupted", errorCode: "unavailable" } });
    expect(sent).toHaveLength(1);
    await expectOneEnd(runId, "interrupted");
    expect(JSON.parse((await storedContents(runId))?.answer ?? "")).toMatchObject({ content: "half a" });
  });

  it("mid-stream, asked to restart: a new attempt, whose text begins anew", async () => {
    const upstream = heldUpstream();
    using sent = scriptUpstream(() => (sent.length === 1 ? upstream.answer() : hello()));
    const { runId } = await submitJob(project, { onInterrupt: "restart" });
    await using watching = await watchJob(project, runId);
    upstream.send(delta("half a"));
    const told = await untilDelta(watching);
    await crash(runId);
    told.push(...(await watching.rest()));
    expect(told).toContainEqual(expect.objectContaining({ type: "status", status: "running", attempt: 2 }));
    expect(textOf(told)).toBe("Hello");
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "Hello" });
    expect(sent).toHaveLength(2);
    await expectOneEnd(runId, "succeeded");
    expect(JSON.parse((await storedContents(runId))?.answer ?? "")).toMatchObject({ content: "Hello" });
  });

  it("before its end is in D1: the end is written when it can be", async () => {
    using sent = scriptUpstream(hello);
    await env.DB.exec("ALTER TABLE usage_daily RENAME TO usage_away");
    const { runId } = await submitJob(project);
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "Hello" });
    await crash(runId);
    expect(await storedRun(runId)).toMatchObject({ status: "queued" });
    await env.DB.exec("ALTER TABLE usage_away RENAME TO usage_daily");
    await crash(runId);
    await expectOneEnd(runId, "succeeded");
    expect(sent).toHaveLength(1);
    expect(JSON.parse((await storedContents(runId))?.answer ?? "")).toMatchObject({ content: "Hello" });
  });

  it("while cancelled jobs wait: they stay cancelled", async () => {
    using sent = scriptUpstream(hello);
    const { runId } = await submitJob(project, { delayMs: 200 });
    await callJobs("cancel", project, { runId });
    await crash(runId);
    expect(await resultOf(runId)).toMatchObject({ status: "cancelled" });
    await expectOneEnd(runId, "cancelled");
    expect(sent).toHaveLength(0);
  });
});

describe("fault 26: alarms and starts that come twice", () => {
  it("change nothing while the job runs and after it has ended", async () => {
    const upstream = heldUpstream();
    using sent = scriptUpstream(() => upstream.answer());
    const { runId } = await submitJob(project);
    await vi.waitUntil(() => sent.length === 1);
    const stored = await env.DB.prepare("SELECT spec FROM jobs JOIN runs USING (seq) WHERE id = ?").bind(runId).first();
    const { spec } = JSON.parse(String(stored?.["spec"]));
    const object = jobObject(runId);
    const again = () =>
      Promise.all([
        runDurableObjectAlarm(object),
        object.start(spec),
        runDurableObjectAlarm(object),
        object.admitted(),
      ]);
    await again();
    upstream.send(delta("once"), delta("", "stop"), event("[DONE]"));
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "once" });
    await expectOneEnd(runId, "succeeded");
    await again();
    expect(sent).toHaveLength(1);
    expect((await resultOf(runId)).run?.attempts).toHaveLength(1);
    await expectOneEnd(runId, "succeeded");
  });
});
