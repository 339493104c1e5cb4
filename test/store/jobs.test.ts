import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { newId } from "../../src/core/ids.ts";
import type { RunStart } from "../../src/core/runRecord.ts";
import { database } from "../../src/store/db.ts";
import { jobStore } from "../../src/store/jobs.ts";
import { deleteRun, findRun, settleRunAlone } from "../../src/store/runs.ts";
import { costOf, meteredD1, planOf } from "../support/meteredD1.ts";
import { anOutcome, aStart, someContents } from "../support/runRecords.ts";

const metered = meteredD1(env.DB);
const db = database(metered);
const store = jobStore(db);
const settle = settleRunAlone(db);
const aProject = () => newId("prj");
const json = JSON.stringify({ spec: { models: ["m"] }, request: null });

function submit(start: RunStart, key: string | null = null, requestDigest = "digest") {
  return store.submitJob({ start, runAtMs: 7, json, idempotency: key === null ? null : { key, requestDigest } });
}

describe("a job that is submitted", () => {
  it("is a queued run, and holds what starts it", async () => {
    const start = aStart({ projectId: aProject(), retryOf: "run_before" });
    expect(await submit(start)).toEqual({
      runId: start.id,
      createdAtMs: start.createdAtMs,
      runAtMs: 7,
      retryOf: "run_before",
      modelAsked: start.modelAsked,
      metadata: start.metadata,
      status: "queued",
      requestDigest: null,
    });
    expect((await findRun(db)(start.projectId, start.id))?.run).toMatchObject({
      status: "queued",
      retryOf: "run_before",
    });
    expect(await store.findStoredJob(start.projectId, start.id)).toEqual({ stored: JSON.parse(json) });
    expect(await store.findStoredJob(aProject(), start.id)).toBeNull();
  });

  it("under a key that is held leaves nothing and tells who holds it, also in a race", async () => {
    const projectId = aProject();
    const starts = Array.from({ length: 20 }, () => aStart({ projectId }));
    const told = await Promise.all(starts.map((start, at) => submit(start, "key", `digest ${at}`)));
    expect(new Set(told.map((one) => JSON.stringify(one))).size).toBe(1);
    const holder = starts.findIndex(({ id }) => id === told[0]?.runId);
    expect(told[0]?.requestDigest).toBe(`digest ${holder}`);
    for (const table of ["runs", "jobs"]) {
      const count = env.DB.prepare(`SELECT count(*) n FROM ${table} WHERE project_id = ?`).bind(projectId);
      expect(await count.first("n")).toBe(1);
    }
  });

  it("twice, as after a lost reply, is there once", async () => {
    const start = aStart({ projectId: aProject() });
    expect(await submit(start)).toEqual(await submit(start));
  });

  it("has its key free for another once the run is deleted", async () => {
    const first = aStart({ projectId: aProject() });
    await submit(first, "key");
    await settle(first, anOutcome(), null);
    expect(await deleteRun(db)(first.projectId, first.id)).toBe("deleted");
    const second = aStart({ projectId: first.projectId });
    expect(await submit(second, "key")).toMatchObject({ runId: second.id });
  });

  it("finds the holder of a key by the index", async () => {
    const from = metered.statements.length;
    await submit(aStart({ projectId: aProject() }), "key");
    const [insert, , select] = metered.statements.slice(from);
    for (const statement of [insert, select])
      expect((await planOf(env.DB, statement as NonNullable<typeof insert>)).join("\n")).toContain("jobs_key");
  });
});

describe("the life of a job", () => {
  it.each([
    ["kept", true],
    ["not kept", false],
  ])("writes at most 12 rows, a key and %s contents included", async (_how, keepContents) => {
    const projectId = aProject();
    const written: number[] = [];
    for (let index = 0; index < 10; index += 1) {
      const start = aStart({ projectId });
      const from = metered.statements.length;
      await submit(start, `key ${index}`);
      await store.markRunning(projectId, start.id);
      await settle(start, anOutcome(), keepContents ? someContents() : null);
      if (!keepContents) await store.forgetSpec(projectId, start.id);
      written.push(costOf(metered, from).rowsWritten);
    }
    expect(Math.max(...written)).toBeLessThanOrEqual(12);
  });

  it("shows it running once it is, and never again once it has ended", async () => {
    const start = aStart({ projectId: aProject() });
    const status = async () => (await findRun(db)(start.projectId, start.id))?.run.status;
    await submit(start);
    await store.markRunning(start.projectId, start.id);
    expect(await status()).toBe("running");
    await settle(start, anOutcome({ status: "cancelled" }), null);
    await store.markRunning(start.projectId, start.id);
    expect(await status()).toBe("cancelled");
  });

  it("forgets what it sent when it is told to", async () => {
    const start = aStart({ projectId: aProject() });
    await submit(start);
    await store.forgetSpec(aProject(), start.id);
    expect(await store.findStoredJob(start.projectId, start.id)).toEqual({ stored: JSON.parse(json) });
    await store.forgetSpec(start.projectId, start.id);
    expect(await store.findStoredJob(start.projectId, start.id)).toEqual({ stored: null });
  });
});
