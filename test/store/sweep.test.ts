import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { database } from "../../src/store/db.ts";
import { openRun, settleRun } from "../../src/store/runs.ts";
import { sweepStore } from "../../src/store/sweep.ts";
import { costOf, meteredD1, planOf } from "../support/meteredD1.ts";
import { insertTestProject } from "../support/projects.ts";
import { anOutcome, aStart, someContents } from "../support/runRecords.ts";
import { dayMs, minuteMs } from "../support/sweep.ts";

const metered = meteredD1(env.DB);
const store = sweepStore(database(metered));
const nowMs = Date.now();

/** 5,000 settled runs with contents that are kept for ever, and as many idempotency keys in use. */
beforeAll(async () => {
  const count = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)`;
  await env.DB.batch(
    [
      `INSERT INTO runs (seq, id, project_id, status, source, simulated, stream, created_at, key_id, model_asked, metadata)
        ${count} SELECT i, 'run_' || i, 'prj_' || (i % 10), 'succeeded', 'openai', 0, 1, i, 'key_1', 'm', '{}' FROM n`,
      `INSERT INTO run_contents (seq, project_id, request, answer, cut) SELECT seq, project_id, '{}', '{}', 0 FROM runs`,
      `INSERT INTO idempotency (project_id, key, request_digest, claim_id, expires_at)
        ${count} SELECT 'prj_1', 'k' || i, 'd', 'c', ${nowMs + dayMs} FROM n`,
    ].map((sql) => env.DB.prepare(sql)),
  );
});

type Costed<T> = { result: T; rowsRead: number };

async function costing<T>(work: Promise<T>): Promise<Costed<T>> {
  const from = metered.statements.length;
  const result = await work;
  return { result, rowsRead: costOf(metered, from).rowsRead };
}

const look = { createdBeforeMs: nowMs - minuteMs, limit: 500 };

describe("a sweep", () => {
  it("reads nothing where there is nothing to do", async () => {
    const idle = await costing(
      Promise.all([
        store.findCursor(),
        store.listOldLiveRuns(null, look),
        store.pruneContents(nowMs, 500),
        store.pruneIdempotency(nowMs, 500),
      ]),
    );
    expect(idle.result).toEqual([null, { runs: [], next: null }, 0, 0]);
    expect(idle.rowsRead).toBeLessThanOrEqual(5);
  });

  it("reads of live runs what it looks at, and goes on from there", async () => {
    const ids: string[] = [];
    for (const projectId of ["prj_b", "prj_a"])
      for (let at = 0; at < 6; at++) {
        const start = aStart({ projectId, createdAtMs: nowMs - 5 * minuteMs + at });
        await openRun(database(env.DB))(start, "running");
        ids.push(`${projectId} ${start.id}`);
      }
    await openRun(database(env.DB))(aStart({ projectId: "prj_a", createdAtMs: nowMs }), "running");
    const seen: string[] = [];
    let cursor: string | null = null;
    let sweeps = 0;
    do {
      const slice = store.listOldLiveRuns(cursor, { ...look, limit: 4 });
      const { result, rowsRead }: Costed<Awaited<typeof slice>> = await costing(slice);
      expect(rowsRead).toBeLessThanOrEqual(4 * 6 + 1);
      seen.push(...result.runs.map(({ projectId, id }) => `${projectId} ${id}`));
      cursor = result.next;
      sweeps++;
    } while (cursor !== null);
    expect(seen).toEqual(ids.toSorted());
    expect(sweeps).toBe(4);
    const relays = ids.slice(0, 3).map((id) => id.split(" ").at(-1) ?? "");
    const { result, rowsRead } = await costing(store.findLiveStarts([...relays, "run_1"]));
    expect(result.map(({ id }) => id).sort()).toEqual(relays.sort());
    expect(rowsRead).toBeLessThanOrEqual(4 * 3);
  });

  it("remembers where it stopped", async () => {
    await store.moveCursor("prj_a 7");
    await store.moveCursor("prj_b 8");
    expect(await store.findCursor()).toBe("prj_b 8");
    await store.moveCursor(null);
    expect(await store.findCursor()).toBeNull();
  });

  it("reads and drops of contents and keys a bounded number, the oldest first", async () => {
    const { principal } = await insertTestProject({ retentionDays: 1 });
    const starts = Array.from({ length: 7 }, (_, at) =>
      aStart({ projectId: principal.projectId, createdAtMs: nowMs - 3 * dayMs + at }),
    );
    await Promise.all(starts.map((start) => settleRun(database(env.DB))(start, anOutcome(), someContents())));
    await env.DB.prepare("UPDATE idempotency SET expires_at = 1 WHERE key IN ('k7', 'k8', 'k9')").run();

    const contents = await costing(store.pruneContents(nowMs, 5));
    expect(contents.result).toBe(5);
    expect(contents.rowsRead).toBeLessThanOrEqual(5 * 20);
    const left = await env.DB.prepare("SELECT seq FROM run_contents WHERE expires_at IS NOT NULL").all();
    expect(left.results).toHaveLength(2);
    expect(await store.pruneContents(nowMs, 5)).toBe(2);

    const keys = await costing(store.pruneIdempotency(nowMs, 2));
    expect(keys.result).toBe(2);
    expect(keys.rowsRead).toBeLessThanOrEqual(2 * 4);
    expect(await store.pruneIdempotency(nowMs, 2)).toBe(1);
  });
});

it("reads no table from end to end", async () => {
  const distinct = new Map(metered.statements.map((statement) => [statement.sql, statement]));
  const steps = (await Promise.all([...distinct.values()].map((statement) => planOf(env.DB, statement)))).flat();
  expect(
    steps.filter(
      (step) => step.startsWith("SCAN") && !/^SCAN json_each|^SCAN run_search VIRTUAL TABLE INDEX \d+:=/.test(step),
    ),
  ).toEqual([]);
  expect(steps.filter((step) => step.includes("runs_live")).length).toBeGreaterThan(0);
});
