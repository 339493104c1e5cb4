import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import type { BatchResult } from "../../src/contract/jobBatches.ts";
import type { JobSpec } from "../../src/core/jobSpec.ts";
import { database } from "../../src/store/db.ts";
import { jobStore } from "../../src/store/jobs.ts";
import { settleRunAlone } from "../../src/store/runs.ts";
import {
  batchStatus,
  echo,
  ended,
  makeTemplate,
  resultPage,
  saying,
  submitBatch,
  unreachable,
  wordOf,
} from "../support/batches.ts";
import { scriptUpstream } from "../support/call.ts";
import { costOf, meteredD1, planOf } from "../support/meteredD1.ts";
import { insertTestProject } from "../support/projects.ts";
import { anOutcome, someContents } from "../support/runRecords.ts";

const thousand = Array.from({ length: 1_000 }, (_, at) => `word ${at}`);

it("runs a thousand items, each once", async () => {
  const project = await insertTestProject();
  await makeTemplate(project);
  using sent = scriptUpstream(echo);
  const { batchId, runIds } = await submitBatch(project, { items: saying(...thousand) });
  expect(new Set(runIds)).toHaveLength(1_000);
  expect(await ended(project, batchId, 400_000)).toMatchObject({ total: 1_000, succeeded: 1_000 });
  expect(sent.map(wordOf).sort()).toEqual(thousand.toSorted());
  const results: BatchResult[] = [];
  let cursor: string | null = null;
  do {
    const page = await resultPage(project, { batchId, limit: 100, ...(cursor && { cursor }) });
    results.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor);
  expect(results.map(({ index, content, runId }) => [index, content, runId])).toEqual(
    thousand.map((word, at) => [at, word, runIds[at]]),
  );
}, 420_000);

it("writes a thousand items in few statements, at most 12 rows each over a job's whole life", async () => {
  const project = await insertTestProject();
  await makeTemplate(project);
  const metered = meteredD1(env.DB);
  const input = { items: saying(...thousand), delayMs: 3_600_000, idempotencyKey: "k" };
  const ticket = await submitBatch(project, input, { DB: metered, BATCHES: unreachable("start") });
  const written = costOf(metered).rowsWritten;
  const inserts = metered.statements.filter(({ sql }) => /^\s*insert/i.test(sql));
  expect(inserts).toHaveLength(2);
  // Each item is looked for once, not each run for all items.
  for (const insert of inserts) expect((await planOf(env.DB, insert)).join("\n")).not.toMatch(/runs_project|SCAN runs/);
  expect(written / 1_000).toBeLessThanOrEqual(5.1);

  const before = metered.statements.length;
  const [runId = ""] = ticket.runIds;
  const { projectId } = project.principal;
  const store = jobStore(database(metered));
  const found = await store.findStoredJob(projectId, runId);
  const { spec } = found?.stored ?? {};
  await store.markRunning(projectId, runId);
  await settleRunAlone(database(metered))((spec as JobSpec).start, anOutcome(), someContents());
  const ofLife = written / 1_000 + costOf(metered, before).rowsWritten;
  expect(ofLife).toBeLessThanOrEqual(12.1);

  const again = metered.statements.length;
  expect(await submitBatch(project, input, { DB: metered })).toEqual(ticket);
  expect(costOf(metered, again).rowsWritten).toBe(0);
  for (const statement of metered.statements.slice(again))
    expect(await planOf(env.DB, statement)).not.toContainEqual(expect.stringMatching(/^SCAN (runs|jobs|member)/));
  expect(await batchStatus(project, ticket.batchId)).toMatchObject({ total: 1_000, succeeded: 1 });
}, 60_000);
