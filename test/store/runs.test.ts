import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { Run, RunContents } from "../../src/contract/runs.ts";
import { newId } from "../../src/core/ids.ts";
import { database } from "../../src/store/db.ts";
import { listRuns } from "../../src/store/runList.ts";
import { sumUsage } from "../../src/store/runStats.ts";
import { deleteRun, findRun, openRun, rateRun, settleRun } from "../../src/store/runs.ts";
import { costOf, meteredD1, planOf } from "../support/meteredD1.ts";
import { anOutcome, aStart, someContents } from "../support/runRecords.ts";

const metered = meteredD1(env.DB);
const db = database(metered);
const open = openRun(db);
const settle = settleRun(db);
const find = findRun(db);
const rate = rateRun(db);
const remove = deleteRun(db);
const list = listRuns(db);
const sum = sumUsage(db);

const day = "2026-09-01";
const aProject = () => newId("prj");

/** What a project's log holds, all tables together. */
async function everything(projectId: string) {
  const { items } = await list(projectId, { limit: 100 });
  return {
    runs: await Promise.all(items.map((run) => find(projectId, run.id))),
    usage: await sum(projectId, { from: day, to: day, groupBy: "day" }),
    searchable: (await list(projectId, { limit: 100, source: "trpc" })).items.map((run) => run.id),
  };
}

describe("a run that begins", () => {
  it("is shown with what is known and nothing more", async () => {
    const start = aStart({ projectId: aProject() });
    await open(start, "queued");
    const found = await find(start.projectId, start.id);
    expect(found).toEqual({
      run: {
        id: start.id,
        status: "queued",
        source: "trpc",
        simulated: false,
        stream: true,
        createdAt: "2026-09-01T12:00:00.000Z",
        keyId: "key_1",
        template: start.template,
        modelAsked: "large",
        retryOf: null,
        batchId: null,
        modelAnswered: null,
        upstream: null,
        errorCode: null,
        errorMessage: null,
        finishReason: null,
        malformed: false,
        attempts: [],
        usage: null,
        usageSource: "unknown",
        cost: null,
        timings: { queueMs: null, headersMs: null, firstTokenMs: null, totalMs: null },
        outputValid: null,
        metadata: { user: "u1", tier: "pro" },
        score: null,
        scoreComment: null,
      },
      contents: null,
    });
    expect(Run.parse(found?.run)).toEqual(found?.run);
  });

  it("stays as it is when opened again, and is not counted before it ends", async () => {
    const start = aStart({ projectId: aProject() });
    await open(start, "queued");
    await open({ ...start, modelAsked: "other" }, "running");
    expect((await find(start.projectId, start.id))?.run).toMatchObject({ status: "queued", modelAsked: "large" });
    expect(await sum(start.projectId, { from: day, to: day, groupBy: "day" })).toEqual([]);
  });

  it("keeps its order among runs of the same millisecond", async () => {
    const projectId = aProject();
    const starts = Array.from({ length: 5 }, () => aStart({ projectId, template: null }));
    for (const start of starts) await open(start, "running");
    const { items } = await list(projectId, { limit: 100 });
    expect(items.map((run) => run.id)).toEqual(starts.map((start) => start.id).reverse());
    expect(items[0]?.template).toBeNull();
  });
});

describe("a run that ends", () => {
  it("is shown whole, with its contents", async () => {
    const start = aStart({ projectId: aProject() });
    await open(start, "running");
    const contents = someContents({
      output: { parcel: null },
      toolCalls: [{ id: "call_1", type: "function", function: { name: "find", arguments: "{}" } }],
    });
    expect(await settle(start, anOutcome({ outputValid: true, malformed: true }), contents)).toBe(true);
    const found = await find(start.projectId, start.id);
    expect(found?.run).toMatchObject({
      status: "succeeded",
      template: start.template,
      modelAnswered: "large-2026",
      upstream: "main",
      finishReason: "stop",
      malformed: true,
      attempts: anOutcome().attempts,
      usage: { promptTokens: 11, completionTokens: 22, reasoningTokens: 5 },
      usageSource: "upstream",
      cost: { micros: 1_234, currency: "CNY" },
      timings: { queueMs: null, headersMs: 120, firstTokenMs: 300, totalMs: 900 },
      outputValid: true,
      metadata: start.metadata,
    });
    expect(found?.contents).toEqual({ ...contents, cut: false });
    expect(Run.parse(found?.run)).toEqual(found?.run);
    expect(RunContents.parse(found?.contents)).toEqual(found?.contents);
  });

  it("leaves the same traces whether or not its beginning was written", async () => {
    const opened = aStart({ projectId: aProject() });
    const unopened = { ...opened, id: newId("run"), projectId: aProject() };
    await open(opened, "running");
    expect(await settle(opened, anOutcome(), someContents())).toBe(true);
    expect(await settle(unopened, anOutcome(), someContents())).toBe(true);
    const traces = JSON.stringify(await everything(opened.projectId));
    expect(JSON.parse(traces.replaceAll(opened.id, unopened.id))).toEqual(await everything(unopened.projectId));
    expect(traces).toContain('"runs":1');
  });

  it.each([
    ["with contents", someContents()],
    ["without contents", null],
  ])("keeps the first outcome: later ones change nothing, %s", async (_, contents) => {
    const start = aStart({ projectId: aProject() });
    expect(await settle(start, anOutcome(), contents)).toBe(true);
    const before = await everything(start.projectId);
    const from = metered.statements.length;
    expect(await settle(start, anOutcome(), contents)).toBe(false);
    expect(await settle(start, anOutcome({ status: "failed", errorCode: "internal" }), someContents())).toBe(false);
    await open(start, "running");
    expect(costOf(metered, from).rowsWritten).toBe(0);
    expect(await everything(start.projectId)).toEqual(before);
    expect(before.searchable).toEqual([start.id]);
  });

  it("has one winner among twenty at once", async () => {
    const start = aStart({ projectId: aProject() });
    await open(start, "running");
    const statuses = Array.from({ length: 20 }, (_, index) =>
      index % 2 ? ("failed" as const) : ("cancelled" as const),
    );
    const won = await Promise.all(statuses.map((status) => settle(start, anOutcome({ status }), someContents())));
    expect(won.filter(Boolean)).toEqual([true]);
    const { runs, usage } = await everything(start.projectId);
    expect(runs[0]?.run.status).toBe(statuses[won.indexOf(true)]);
    expect(usage).toMatchObject([{ runs: 1 }]);
  });

  it("is counted and found, but has neither contents nor searchable text, when the project keeps none", async () => {
    const start = aStart({ projectId: aProject() });
    await settle(start, anOutcome({ usage: null, usageSource: "unknown", cost: null }), null);
    const found = await find(start.projectId, start.id);
    expect(found?.contents).toBeNull();
    expect(found?.run).toMatchObject({ usage: null, usageSource: "unknown", cost: null });
    expect((await everything(start.projectId)).searchable).toEqual([start.id]);
    expect((await list(start.projectId, { limit: 1, text: "parcel" })).items).toEqual([]);
  });

  it("writes at most 10 rows, its beginning included", async () => {
    const projectId = aProject();
    const written: number[] = [];
    for (let index = 0; index < 10; index += 1) {
      const start = aStart({ projectId });
      const from = metered.statements.length;
      await open(start, "running");
      await settle(start, anOutcome(), someContents({ content: `answer number ${index}` }));
      written.push(costOf(metered, from).rowsWritten);
    }
    expect(written.length).toBe(10);
    expect(Math.max(...written)).toBeLessThanOrEqual(10);
  });
});

describe("a rating", () => {
  it("is replaced as a whole and taken back, and outlives the run's end", async () => {
    const start = aStart({ projectId: aProject() });
    await open(start, "running");
    expect(await rate(start.projectId, start.id, { score: -0.5, comment: "rude" })).toMatchObject({
      id: start.id,
      score: -0.5,
      scoreComment: "rude",
    });
    await settle(start, anOutcome(), null);
    expect((await find(start.projectId, start.id))?.run).toMatchObject({ score: -0.5, scoreComment: "rude" });
    expect(await rate(start.projectId, start.id, { score: 1, comment: null })).toMatchObject({ scoreComment: null });
    expect(await rate(start.projectId, start.id, { score: null, comment: null })).toMatchObject({ score: null });
  });

  it("does not reach another project's run", async () => {
    const start = aStart({ projectId: aProject() });
    await settle(start, anOutcome(), null);
    expect(await rate(aProject(), start.id, { score: 1, comment: null })).toBeNull();
    expect((await find(start.projectId, start.id))?.run.score).toBeNull();
  });
});

describe("a deletion", () => {
  it("removes run, contents and search document, and keeps the accounting", async () => {
    const start = aStart({ projectId: aProject() });
    const kept = aStart({ projectId: start.projectId });
    for (const each of [start, kept]) await settle(each, anOutcome(), someContents());
    const count = () =>
      env.DB.prepare(
        "SELECT (SELECT count(*) FROM run_contents) AS contents, (SELECT count(*) FROM run_search) AS documents",
      ).first<{ contents: number; documents: number }>();
    const before = await count();
    expect(await remove(start.projectId, start.id)).toBe("deleted");
    expect(await find(start.projectId, start.id)).toBeNull();
    const after = await everything(start.projectId);
    expect(after.searchable).toEqual([kept.id]);
    expect(after.usage).toMatchObject([{ runs: 2 }]);
    expect(await count()).toEqual({
      contents: (before?.contents ?? 0) - 1,
      documents: (before?.documents ?? 0) - 1,
    });
    expect(await remove(start.projectId, start.id)).toBe("missing");
  });

  it("leaves a live run alone", async () => {
    const start = aStart({ projectId: aProject() });
    await open(start, "queued");
    expect(await remove(start.projectId, start.id)).toBe("live");
    expect((await find(start.projectId, start.id))?.run.status).toBe("queued");
  });

  it("does not reach another project's run", async () => {
    const start = aStart({ projectId: aProject() });
    await settle(start, anOutcome(), someContents());
    const stranger = aProject();
    expect(await remove(stranger, start.id)).toBe("missing");
    expect(await find(stranger, start.id)).toBeNull();
    expect((await find(start.projectId, start.id))?.contents).not.toBeNull();
  });
});

it("reads no table from end to end, whatever is done to a run", async () => {
  const distinct = new Map(metered.statements.map((statement) => [statement.sql, statement]));
  const steps = (await Promise.all([...distinct.values()].map((statement) => planOf(env.DB, statement)))).flat();
  expect(steps).toContainEqual("SEARCH runs USING INDEX runs_id (id=?)");
  // What is written together comes as one JSON array.
  const ofJson = /^SCAN (json_each|quota) VIRTUAL TABLE INDEX \d+:$|^SCAN \(subquery-\d+\)$/;
  const scans = steps.filter(
    (step) => step.startsWith("SCAN") && !step.startsWith("SCAN run_search") && !ofJson.test(step),
  );
  expect(scans).toEqual([]);
  // By the words sought, or by the one row id.
  for (const step of steps.filter((step) => step.startsWith("SCAN run_search")))
    expect(step).toMatch(/VIRTUAL TABLE INDEX \d+:(M\d<>|=)$/);
});
