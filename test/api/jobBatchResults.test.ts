import { beforeEach, describe, expect, it, vi } from "vitest";
import type { BatchResult, BatchTicket } from "../../src/contract/jobBatches.ts";
import { callBatches, echo, ended, makeTemplate, resultPage, saying, submitBatch } from "../support/batches.ts";
import { delta, events, scriptUpstream } from "../support/call.ts";
import { callJobs } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

vi.setConfig({ testTimeout: 60_000 });

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
  await makeTemplate(project);
});

const words = (count: number) => saying(...Array.from({ length: count }, (_, at) => `w${at}`));

describe("jobs.batchResults", () => {
  it("pages in the order of the items", async () => {
    using _ = scriptUpstream(echo);
    const { batchId, runIds } = await submitBatch(project, { items: words(7) });
    // Another batch beside it.
    const other = await submitBatch(project, { items: words(3) });
    await ended(project, batchId);
    await ended(project, other.batchId);
    const found: BatchResult[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await resultPage(project, { batchId, limit: 3, ...(cursor && { cursor }) });
      found.push(...page.items);
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
    }
    expect(found.map(({ runId }) => runId)).toEqual(runIds);
    expect(found.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it("gives fewer long answers at a time, and all of them in the end", async () => {
    using _ = scriptUpstream(() => events(delta("long ".repeat(140_000)), delta("", "stop")));
    const { batchId } = await submitBatch(project, { items: words(8) });
    await ended(project, batchId);
    const first = await resultPage(project, { batchId });
    expect(first.items).toHaveLength(5);
    const second = await resultPage(project, { batchId, cursor: first.nextCursor });
    expect(second.items.map(({ index }) => index)).toEqual([5, 6, 7]);
    expect(second.nextCursor).toBeNull();
  });

  it("says which answers are cut, and gives no parsed one of these", async () => {
    const long = JSON.stringify({ text: '"'.repeat(400_000) });
    using _ = scriptUpstream(({ body }) =>
      events(delta(JSON.stringify(body).includes("w1") ? long : '{"text":""}'), delta("", "stop")),
    );
    const schema = { type: "object", required: ["text"] };
    const params = { response_format: { type: "json_schema", json_schema: { name: "n", schema } } };
    const { batchId } = await submitBatch(project, { items: words(2), params });
    await ended(project, batchId);
    const [whole, cut] = (await resultPage(project, { batchId })).items;
    expect(whole).toMatchObject({ outputValid: true, output: { text: "" } });
    expect(whole).not.toHaveProperty("answerCut");
    expect(cut).toMatchObject({ outputValid: true, answerCut: true });
    expect(cut).not.toHaveProperty("output");
    expect(long.startsWith(cut?.content ?? "nothing")).toBe(true);
  });

  it("shows what has not ended yet, and refuses a cursor of another list", async () => {
    using _ = scriptUpstream(echo);
    const { batchId } = await submitBatch(project, { items: words(1), delayMs: 60_000 });
    const { items } = await resultPage(project, { batchId });
    expect(items).toMatchObject([{ index: 0, status: "queued", content: null, error: null }]);
    const answer = await callBatches("batchResults", project, { input: { batchId, cursor: btoa("runs 1") } });
    expect(answer.error).toMatchObject({ code: "invalid_request", param: "cursor" });
  });
});

describe("a batch's idempotency key", () => {
  it("makes one batch of many submissions at once", async () => {
    using sent = scriptUpstream(echo);
    const input = { items: words(20), idempotencyKey: "nightly" };
    const tickets = await Promise.all(Array.from({ length: 10 }, () => submitBatch(project, input)));
    expect(new Set(tickets.map((ticket) => JSON.stringify(ticket)))).toHaveLength(1);
    const { batchId, total } = tickets[0] as BatchTicket;
    expect(total).toBe(20);
    expect(await ended(project, batchId)).toMatchObject({ total: 20, succeeded: 20 });
    expect(sent).toHaveLength(20);
  });

  it("is in conflict with another batch and with a job", async () => {
    using _ = scriptUpstream(echo);
    const { batchId } = await submitBatch(project, { items: words(2), idempotencyKey: "k" });
    await ended(project, batchId);
    const input = { template: "say", items: words(3), idempotencyKey: "k" };
    const other = await callBatches("submitBatch", project, { input });
    expect(other.error).toMatchObject({ code: "conflict", param: "idempotencyKey", details: { batchId } });
    const job = { template: "say", variables: { word: "a" } };
    expect((await callJobs("submit", project, { ...job, idempotencyKey: "k" })).error).toMatchObject({
      code: "conflict",
    });
    const single = await callJobs<{ runId: string }>("submit", project, { ...job, idempotencyKey: "j" });
    await callJobs("result", project, { runId: single.data.runId });
    const taken = await callBatches("submitBatch", project, { input: { ...input, idempotencyKey: "j" } });
    expect(taken.error).toMatchObject({ code: "conflict", details: { runId: single.data.runId } });
    const stranger = await insertTestProject();
    await makeTemplate(stranger);
    const theirs = await submitBatch(stranger, { items: words(1), idempotencyKey: "k" });
    expect(await ended(stranger, theirs.batchId)).toMatchObject({ total: 1, succeeded: 1 });
  });
});
