import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { JobResult, JobTicket } from "../../src/contract/jobs.ts";
import type { JobSpec } from "../../src/core/jobSpec.ts";
import type { JobActor } from "../../src/durable/jobActor.ts";
import { callWeir, chat, delta, event, events, scriptUpstream, storedContents, storedRun } from "../support/call.ts";
import { failingD1 } from "../support/failingD1.ts";
import { usageOf } from "../support/faults.ts";
import { callJobs, heldUpstream, jobObject, submitJob, watchJob } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";
import { dayMs, hourMs, laterBy, minuteMs, sweepIn, sweepNow } from "../support/sweep.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const hello = () => events(delta("Hel"), delta("lo"), delta("", "stop"), event("[DONE]"));
const resultOf = async (runId: string, waitMs = 10_000) =>
  (await callJobs<JobResult>("result", project, { runId, waitMs })).data;
const patient = { timeout: 4_000 };
const usage = () => usageOf(project.principal.projectId);

/** Submits a job whose object cannot be reached. */
async function submitUnstarted(more: Record<string, unknown> = {}): Promise<string> {
  const unreachable = { start: () => Promise.reject(new Error("Network connection lost.")) };
  const JOBS = { idFromName: (name: string) => name, get: () => unreachable } as unknown as DurableObjectNamespace;
  const body = { model: "test-model", messages: [{ role: "user", content: "Hi" }], ...more };
  const { response } = await callWeir("/trpc/jobs.submit", { secret: project.secret, body, env: { JOBS } });
  const { result } = (await response.json()) as { result: { data: JobTicket } };
  return result.data.runId;
}

/** The jobs' objects, with the runs that are started noted. */
function noting(started: string[]): DurableObjectNamespace {
  const get = (id: DurableObjectId) => ({
    start: (spec: JobSpec) => {
      started.push(spec.start.id);
      return (env.JOBS as DurableObjectNamespace<JobActor>).get(id).start(spec);
    },
  });
  return { idFromName: (name: string) => env.JOBS.idFromName(name), get } as unknown as DurableObjectNamespace;
}

describe("fault 23: a job that is on record and was not started", () => {
  it("is started by the sweeper, a minute after it could have", async () => {
    using sent = scriptUpstream(hello);
    const runId = await submitUnstarted();
    await sweepIn(minuteMs / 2);
    expect(sent).toHaveLength(0);
    await sweepIn(2 * minuteMs);
    await expect.poll(() => storedRun(runId), patient).toMatchObject({ status: "succeeded" });
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "Hello" });
    expect(sent).toHaveLength(1);
    expect(await usage()).toMatchObject({ runs: 1 });
  });

  it("is cancelled without a call of an upstream", async () => {
    using sent = scriptUpstream(hello);
    const runId = await submitUnstarted();
    const { response } = await callWeir("/trpc/jobs.cancel", { secret: project.secret, body: { runId } });
    expect(await response.json()).toMatchObject({ result: { data: { runId, status: "cancelled" } } });
    await expect.poll(() => storedRun(runId), patient).toMatchObject({ status: "cancelled" });
    expect(sent).toHaveLength(0);
  });

  it("is started by whoever submits it again under its key", async () => {
    using sent = scriptUpstream(hello);
    const runId = await submitUnstarted({ idempotencyKey: "k" });
    expect(await submitJob(project, { idempotencyKey: "k" })).toMatchObject({ runId });
    await expect.poll(() => storedRun(runId), patient).toMatchObject({ status: "succeeded" });
    expect(sent).toHaveLength(1);
  });

  it("is left alone before its time, and started then", async () => {
    using sent = scriptUpstream(hello);
    const runId = await submitUnstarted({ delayMs: hourMs });
    await sweepIn(hourMs);
    expect(sent).toHaveLength(0);
    await laterBy(hourMs + 2 * minuteMs, async () => {
      await sweepNow();
      await expect.poll(() => storedRun(runId), patient).toMatchObject({ status: "succeeded" });
    });
    expect(sent).toHaveLength(1);
  });

  it("is found behind more jobs than one sweep starts", { timeout: 20_000 }, async () => {
    using sent = scriptUpstream(hello);
    const delayed = await Promise.all(Array.from({ length: 20 }, () => submitJob(project, { delayMs: dayMs })));
    const runId = await submitUnstarted();
    // As if all had been due for long: those before it are well, and wait.
    await env.DB.prepare("UPDATE jobs SET run_at = run_at - ? WHERE project_id = ?")
      .bind(dayMs, project.principal.projectId)
      .run();
    await sweepIn(2 * minuteMs);
    await sweepIn(2 * minuteMs);
    await expect.poll(() => storedRun(runId), patient).toMatchObject({ status: "succeeded" });
    expect(sent).toHaveLength(1);
    await Promise.all(delayed.map((waiting) => callJobs("cancel", project, { runId: waiting.runId })));
  });
});

describe("a job that was not started among many that wait for their turn", () => {
  it("is found by the next sweep, which leaves these alone", { timeout: 20_000 }, async () => {
    project = await insertTestProject({ maxJobs: 1 });
    const upstream = heldUpstream();
    using sent = scriptUpstream(() => upstream.answer());
    const waiting = await Promise.all(Array.from({ length: 40 }, () => submitJob(project)));
    await vi.waitUntil(() => sent.length === 1);
    const runId = await submitUnstarted();
    const started: string[] = [];
    const JOBS = noting(started);
    await sweepIn(2 * minuteMs, { JOBS });
    expect(started).toEqual([runId]);
    await Promise.all(
      [runId, ...waiting.map((job) => job.runId)].map((id) => callJobs("cancel", project, { runId: id })),
    );
  });
});

describe("fault 22: an end that D1 does not hold", () => {
  it("of a relay: the row is closed as interrupted once no relay can last so long, and counted once", async () => {
    const upstream = heldUpstream();
    using _sent = scriptUpstream(() => upstream.answer());
    upstream.send(delta("a"));
    // What opens the row passes, everything later fails.
    const DB = failingD1(env.DB, { fails: () => opened, when: "before" });
    let opened = false;
    const { response, settled } = await chat(project.secret, { stream: true }, { env: { DB } });
    const id = response.headers.get("x-weir-run-id");
    const text = response.text();
    await vi.waitUntil(() => storedRun(id), { timeout: 5_000 });
    opened = true;
    upstream.send(delta("b", "stop"), event("[DONE]"));
    expect(await text).toContain("[DONE]");
    await settled();
    expect(await storedRun(id)).toMatchObject({ status: "running" });

    await sweepIn(hourMs);
    expect(await storedRun(id)).toMatchObject({ status: "running" });
    await Promise.all([sweepIn(1.5 * hourMs), sweepIn(1.5 * hourMs)]);
    expect(await storedRun(id)).toMatchObject({ status: "interrupted", error_code: "unavailable", total_ms: null });
    expect(await usage()).toMatchObject({ runs: 1 });
    // Nobody knows how long it took, so the day's mean leaves it out.
    const timed = env.DB.prepare("SELECT total_count n FROM usage_daily WHERE project_id = ?");
    expect(await timed.bind(project.principal.projectId).first("n")).toBe(0);
    const { response: list } = await callWeir(
      `/trpc/runs.list?input=${encodeURIComponent('{"status":"interrupted"}')}`,
      project,
    );
    expect(await list.text()).toContain(String(id));
  });

  it("of a job: its object puts it on record again", async () => {
    using sent = scriptUpstream(hello);
    const { runId } = await submitJob(project);
    await expect.poll(() => storedRun(runId), patient).toMatchObject({ status: "succeeded" });
    const before = await storedContents(runId);
    // As after a restore of the database to a moment before the end.
    const { projectId } = project.principal;
    await env.DB.batch([
      env.DB.prepare("DELETE FROM run_contents WHERE project_id = ?").bind(projectId),
      env.DB.prepare("DELETE FROM run_search WHERE rowid = (SELECT seq FROM runs WHERE id = ?)").bind(runId),
      env.DB.prepare("DELETE FROM usage_daily WHERE project_id = ?").bind(projectId),
      env.DB.prepare("UPDATE runs SET status = 'queued', settled_by = NULL WHERE id = ?").bind(runId),
    ]);
    await sweepIn(2 * minuteMs);
    await expect.poll(() => storedRun(runId), patient).toMatchObject({ status: "succeeded" });
    expect(await storedContents(runId)).toEqual(before);
    expect(await usage()).toMatchObject({ runs: 1 });
    expect(sent).toHaveLength(1);
  });
});

describe("fault 26: the sweeper and the alarm race", () => {
  it("for a job under way, and for one that has ended: nothing changes", async () => {
    const upstream = heldUpstream();
    using sent = scriptUpstream(() => upstream.answer());
    const { runId } = await submitJob(project);
    await vi.waitUntil(() => sent.length === 1);
    await using watching = await watchJob(project, runId);
    const race = () =>
      Promise.all([sweepIn(2 * minuteMs), runDurableObjectAlarm(jobObject(runId)), sweepIn(2 * minuteMs)]);
    await race();
    upstream.send(delta("once"), delta("", "stop"), event("[DONE]"));
    const told = await watching.rest();
    await race();
    expect(told.map(({ type }) => type)).toEqual(["status", "status", "delta", "done"]);
    await expect.poll(() => storedRun(runId), patient).toMatchObject({ status: "succeeded" });
    expect(sent).toHaveLength(1);
    expect(await usage()).toMatchObject({ runs: 1 });
  });

  it("for one that neither has started: it runs once", async () => {
    using sent = scriptUpstream(hello);
    const runId = await submitUnstarted();
    await Promise.all([sweepIn(2 * minuteMs), sweepIn(2 * minuteMs), resultOf(runId), sweepIn(2 * minuteMs)]);
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded" });
    expect(sent).toHaveLength(1);
    expect((await resultOf(runId)).run?.attempts).toHaveLength(1);
  });
});
