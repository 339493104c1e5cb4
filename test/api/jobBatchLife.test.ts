import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { JobResult } from "../../src/contract/jobs.ts";
import {
  batchObject,
  batchStatus,
  callBatches,
  cancelBatch,
  echo,
  ended,
  makeTemplate,
  resultPage,
  saying,
  storedRows,
  submitBatch,
  unreachable,
  wordOf,
} from "../support/batches.ts";
import { delta, scriptUpstream } from "../support/call.ts";
import { callJobs, heldUpstream, jobObject } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

vi.setConfig({ testTimeout: 60_000 });

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
  await makeTemplate(project);
});

async function contentOf(runId: string): Promise<string | null> {
  return (await callJobs<JobResult>("result", project, { runId, waitMs: 0 })).data.content;
}

const words = (count: number) => saying(...Array.from({ length: count }, (_, at) => `w${at}`));

describe("jobs.cancelBatch", () => {
  it("ends what has not ended and keeps what has arrived", async () => {
    const upstreams = Array.from({ length: 4 }, () => heldUpstream());
    for (const upstream of upstreams) upstream.send(delta("begun"));
    using _ = scriptUpstream((sent) => {
      const word = wordOf(sent);
      return word === "w0" ? echo(sent) : (upstreams[Number(word.slice(1))]?.answer() ?? echo(sent));
    });
    const { batchId, runIds } = await submitBatch(project, { items: words(4) });
    for (const runId of runIds.slice(1)) await expect.poll(() => contentOf(runId)).toBe("begun");
    // The run log learns that a job is running when its alarm goes off.
    await runDurableObjectAlarm(jobObject(runIds[1] ?? ""));
    await expect.poll(() => batchStatus(project, batchId)).toMatchObject({ queued: 2, running: 1, succeeded: 1 });
    await cancelBatch(project, batchId);
    expect(await ended(project, batchId)).toMatchObject({ succeeded: 1, cancelled: 3 });
    expect(upstreams.map(({ cancelled }) => cancelled)).toEqual([false, true, true, true]);
    const { items } = await resultPage(project, { batchId });
    expect(items.map(({ content }) => content)).toEqual(["w0", "begun", "begun", "begun"]);
    // Nothing is left to cancel.
    expect(await cancelBatch(project, batchId)).toMatchObject({ succeeded: 1, cancelled: 3 });
  });

  it("ends jobs that wait for their time without calling an upstream", async () => {
    using sent = scriptUpstream(echo);
    const { batchId, runAt, createdAt } = await submitBatch(project, { items: words(90), delayMs: 3_600_000 });
    expect(Date.parse(runAt) - Date.parse(createdAt)).toBe(3_600_000);
    expect(await cancelBatch(project, batchId)).toMatchObject({ queued: 90 });
    expect(await ended(project, batchId)).toMatchObject({ cancelled: 90 });
    expect(sent).toHaveLength(0);
  });

  it("ends jobs that were never started", async () => {
    using sent = scriptUpstream(echo);
    const { batchId } = await submitBatch(project, { items: words(3) }, { BATCHES: unreachable("start") });
    await cancelBatch(project, batchId);
    expect(await ended(project, batchId)).toMatchObject({ cancelled: 3 });
    expect(sent).toHaveLength(0);
  });
});

describe("a batch whose Worker or objects end", () => {
  it("is started by its own alarm when nobody has started it", async () => {
    using _ = scriptUpstream(echo);
    const { batchId } = await submitBatch(project, { items: words(3) }, { BATCHES: unreachable("start") });
    expect(await batchStatus(project, batchId)).toMatchObject({ queued: 3 });
    await runDurableObjectAlarm(batchObject(batchId));
    expect(await ended(project, batchId)).toMatchObject({ succeeded: 3 });
  });

  it("goes on where it was", async () => {
    using sent = scriptUpstream(echo);
    const { batchId } = await submitBatch(project, { items: words(100), onInterrupt: "restart" });
    await abortAllDurableObjects();
    expect(await ended(project, batchId)).toMatchObject({ total: 100, succeeded: 100 });
    expect(new Set(sent.map(wordOf))).toHaveLength(100);
  });

  it("is refused, and nothing is written, when its object cannot be reached at all", async () => {
    const before = await storedRows();
    const input = { template: "say", items: words(3) };
    const answer = await callBatches("submitBatch", project, { input, env: { BATCHES: unreachable("arm") } });
    expect(answer).toMatchObject({ status: 503, error: { code: "unavailable" } });
    expect(await storedRows()).toEqual(before);
  });
});
