import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { JobEvent, JobResult } from "../../src/contract/jobs.ts";
import { limits } from "../../src/contract/limits.ts";
import { JobActor } from "../../src/durable/jobActor.ts";
import { JobLog } from "../../src/durable/jobLog.ts";
import type { Env } from "../../src/env.ts";
import { delta, event, events, scriptUpstream, storedRun } from "../support/call.ts";
import { callJobs, heldUpstream, jobObject, submitJob, textOf, watchJob } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const hello = () => events(delta("Hel"), delta("lo"), delta("", "stop"), event("[DONE]"));
const limited = (seconds: string) =>
  Response.json({ error: { message: "slow down" } }, { status: 429, headers: { "retry-after": seconds } });
const resultOf = async (runId: string, more = {}) =>
  (await callJobs<JobResult>("result", project, { runId, ...more })).data;

/** How the job's log stands. */
const statusOf = (runId: string) =>
  runInDurableObject(jobObject(runId), (_, { storage }) => {
    const { state } = new JobLog(storage.sql);
    return state?.end ? "done" : state?.status;
  });

/** Lets the clock of this isolate, the object's too, be somewhere else while `work` runs. */
async function later<Result>(ms: number, work: () => Promise<Result>): Promise<Result> {
  const now = Date.now;
  vi.spyOn(Date, "now").mockImplementation(() => now() + ms);
  try {
    return await work();
  } finally {
    vi.mocked(Date.now).mockRestore();
  }
}

describe("a job before its upstream", () => {
  it("waits out a limit that a relay would pass on, and tells until when", async () => {
    using sent = scriptUpstream(() => (sent.length === 1 ? limited("60") : hello()));
    const { runId } = await submitJob(project);
    await using watching = await watchJob(project, runId);
    let waiting: JobEvent | null = null;
    while (waiting?.type !== "status" || waiting.status !== "waiting_retry") waiting = await watching.next();
    const { retryAt = "" } = waiting;
    expect(Date.parse(retryAt) - Date.now()).toBeGreaterThan(50_000);
    expect(sent).toHaveLength(1);
    await later(61_000, async () => {
      await runDurableObjectAlarm(jobObject(runId));
      expect(textOf(await watching.rest())).toBe("Hello");
    });
    const { run } = await resultOf(runId);
    expect(run?.attempts).toMatchObject([
      { status: 429, error: "rate_limited" },
      { status: 200, error: null },
    ]);
  });

  it("waits out what an upstream asked for with a failure that may pass", async () => {
    const overloaded = (status: number) => new Response("{}", { status, headers: { "retry-after": "30" } });
    using sent = scriptUpstream(() => (sent.length < 3 ? overloaded(sent.length === 1 ? 503 : 504) : hello()));
    const { runId } = await submitJob(project);
    for (const round of [1, 2]) {
      await expect.poll(() => statusOf(runId)).toBe("waiting_retry");
      expect(sent).toHaveLength(round);
      await later(round * 31_000, async () => {
        await runDurableObjectAlarm(jobObject(runId));
        await vi.waitUntil(() => sent.length > round);
        await expect.poll(() => statusOf(runId)).not.toBe("running");
      });
    }
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "Hello" });
  });

  it("calls upstreams as often as a job may in all its rounds together, and no more", async () => {
    using sent = scriptUpstream(() => limited("60"));
    const { runId } = await submitJob(project, { fallbacks: ["b", "c", "d", "e"] });
    for (let round = 1; (await statusOf(runId)) !== "done"; round++) {
      await expect.poll(() => statusOf(runId)).not.toBe("running");
      await later(round * 61_000, async () => {
        const calls = sent.length;
        await runDurableObjectAlarm(jobObject(runId));
        await vi.waitUntil(async () => sent.length > calls || (await statusOf(runId)) === "done");
        await expect.poll(() => statusOf(runId)).toMatch(/waiting_retry|done/);
      });
    }
    expect(sent).toHaveLength(limits.maxJobAttempts);
    const { run } = await resultOf(runId);
    expect(run).toMatchObject({ status: "failed", errorCode: "rate_limited" });
    expect(run?.attempts).toHaveLength(limits.maxJobAttempts);
  });

  it("fails at once when the limit outlasts its deadline", async () => {
    using _sent = scriptUpstream(() => limited("60"));
    const { runId } = await submitJob(project, { deadlineMs: 30_000 });
    expect(await resultOf(runId)).toMatchObject({ status: "failed", run: { errorCode: "rate_limited" } });
  });

  it("goes to a fallback before it waits", async () => {
    using sent = scriptUpstream(({ body }) => (body["model"] === "test-model" ? limited("60") : hello()));
    const { runId } = await submitJob(project, { fallbacks: ["other"] });
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "Hello" });
    expect(sent.map(({ body }) => body["model"])).toEqual(["test-model", "other"]);
  });

  it("tries a broken upstream as often as a relay, and fails with its error", async () => {
    using sent = scriptUpstream(() => new Response("{}", { status: 503 }));
    const { runId } = await submitJob(project);
    expect(await resultOf(runId)).toMatchObject({
      status: "failed",
      content: null,
      run: { errorCode: "upstream_error" },
    });
    expect(sent).toHaveLength(3);
    await expect.poll(() => storedRun(runId)).toMatchObject({ status: "failed", error_code: "upstream_error" });
  });

  it("fails with its partial text when the stream breaks, and tries nothing again", async () => {
    const upstream = heldUpstream();
    using sent = scriptUpstream(() => upstream.answer());
    const { runId } = await submitJob(project);
    upstream.send(delta("part"));
    await expect.poll(() => resultOf(runId, { waitMs: 0 })).toMatchObject({ content: "part" });
    upstream.break();
    expect(await resultOf(runId)).toMatchObject({
      status: "failed",
      content: "part",
      run: { errorCode: "upstream_error" },
    });
    expect(sent).toHaveLength(1);
  });

  it("ends at its deadline with what has arrived", async () => {
    const upstream = heldUpstream();
    using _sent = scriptUpstream(() => upstream.answer());
    const { runId } = await submitJob(project, { deadlineMs: 400 });
    upstream.send(delta("part"));
    expect(await resultOf(runId)).toMatchObject({
      status: "failed",
      content: "part",
      run: { errorCode: "upstream_timeout" },
    });
    await expect.poll(() => upstream.cancelled).toBe(true);
  });

  it("ends by the timers of the request", async () => {
    using _sent = scriptUpstream(() => heldUpstream().answer());
    const { runId } = await submitJob(project, { timeouts: { firstTokenMs: 200 } });
    expect(await resultOf(runId)).toMatchObject({ status: "failed", run: { errorCode: "upstream_timeout" } });
  });
});

describe("a job's object", () => {
  it("stores a row for ten deltas, and ten more", async () => {
    const upstream = heldUpstream();
    using _sent = scriptUpstream(() => upstream.answer());
    const { runId } = await submitJob(project, { delayMs: 50 });
    const object = jobObject(runId);
    const counted = await runInDurableObject(object, (_, { storage }) => countWrites(storage));
    await using watching = await watchJob(project, runId);
    const deltas = 100;
    const startMs = performance.now();
    for (let sent = 0; sent < deltas; ) {
      // By the schedule: what comes late on a busy machine does not delay what follows.
      const due = Math.min(deltas, Math.floor((performance.now() - startMs) / 10) + 1);
      while (sent < due) upstream.send(delta(`${sent++} `));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    upstream.send(delta("", "stop"), event("[DONE]"));
    expect(textOf(await watching.rest())).toMatch(/^0 1 2 .* 98 99 $/);
    await expect.poll(() => storedRun(runId)).toMatchObject({ status: "succeeded" });
    // What accepting the job had written before the count began: its spec, its first event, its alarm.
    expect(counted.rows + 3).toBeLessThanOrEqual(deltas / 10 + 10);
  });

  it("gives its events up a day after the end; then the run log tells the run", async () => {
    using _sent = scriptUpstream(hello);
    const { runId } = await submitJob(project);
    const before = await resultOf(runId);
    await expect.poll(() => storedRun(runId)).toMatchObject({ status: "succeeded" });
    await later(limits.jobEventsMs + 1_000, () => runDurableObjectAlarm(jobObject(runId)));
    const object = jobObject(runId);
    await expect.poll(() => tables(object)).toEqual([]);
    expect(await resultOf(runId)).toEqual(before);
    await using anew = await watchJob(project, runId);
    const told = await anew.rest();
    expect(told).toMatchObject([
      { seq: 1, type: "delta", content: "Hello" },
      { seq: 2, type: "done" },
    ]);
    await using back = await watchJob(project, runId, 3);
    const again = await back.rest();
    expect(again).toMatchObject([
      { seq: 4, type: "status" },
      { seq: 5, content: "Hello" },
      { seq: 6, type: "done" },
    ]);
    expect(textOf(again)).toBe("Hello");
  });

  it("has its alarm set again under a configuration that is refused", async () => {
    const { runId } = await submitJob(project, { delayMs: 3_600_000 });
    const refused = { ...env, ENVIRONMENT: "production", WEBHOOKS_ALLOW_LOOPBACK: "true" } as Env;
    await runInDurableObject(jobObject(runId), async (_, state) => {
      await state.storage.deleteAlarm();
      await new JobActor(state, refused).alarm();
      expect(await state.storage.getAlarm()).not.toBeNull();
    });
    await callJobs("cancel", project, { runId });
  });

  it("holds nothing for ids that were never submitted", async () => {
    const object = jobObject("run_never");
    const watching = { afterSeq: 0, follow: true, form: "lines" } as const;
    expect(await object.watch({ projectId: "prj_1", keyId: null }, watching)).toBeNull();
    expect(await object.cancel({ projectId: "prj_1", keyId: null })).toBeNull();
    expect(await object.admitted()).toBe(false);
    expect(await tables(object)).toEqual([]);
  });

  it("serves 20 watchers the same, and none of them holds up another by not reading", async () => {
    const upstream = heldUpstream();
    using _sent = scriptUpstream(() => upstream.answer());
    const { runId } = await submitJob(project);
    await using _idle = await watchJob(project, runId);
    const watching = await Promise.all(Array.from({ length: 20 }, () => watchJob(project, runId)));
    for (let at = 0; at < 50; at++) upstream.send(delta(`${at} `));
    upstream.send(delta("", "stop"), event("[DONE]"));
    const told = await Promise.all(watching.map((one) => one.rest()));
    for (const one of told) expect(one).toEqual(told[0]);
    expect(textOf(told[0] ?? [])).toBe(Array.from({ length: 50 }, (_, at) => `${at} `).join(""));
  });
});

/** Counts the rows written from now on, an alarm being one. */
function countWrites(storage: DurableObjectStorage): { rows: number } {
  const counted = { rows: 0 };
  const { sql } = storage;
  const exec = sql.exec.bind(sql);
  const setAlarm = storage.setAlarm.bind(storage);
  sql.exec = ((query: string, ...bindings: unknown[]) => {
    const cursor = exec(query, ...bindings);
    counted.rows += cursor.rowsWritten;
    return cursor;
  }) as typeof sql.exec;
  storage.setAlarm = (at) => {
    counted.rows += 1;
    return setAlarm(at);
  };
  return counted;
}

function tables(object: DurableObjectStub<JobActor>): Promise<unknown[]> {
  return runInDurableObject(object, (_, { storage }) =>
    storage.sql
      .exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'")
      .toArray(),
  );
}
