import { and, eq, type SQL, sql } from "drizzle-orm";
import type { OpenRun, RunOutcome, RunStart, SettleRun } from "../core/runRecord.ts";
import type { DeleteRun, FindRun, RateRun } from "../core/runs.ts";
import { countBudgets } from "./budgets.ts";
import type { Database } from "./db.ts";
import { forgetAnswer } from "./idempotency.ts";
import { jobs } from "./jobSchema.ts";
import { packContents, unpackContents } from "./runContents.ts";
import { isLive, nextSeq, runColumns, runOf } from "./runRow.ts";
import { factTokens, indexedText, runSearch } from "./runSearch.ts";
import { countUsage } from "./runStats.ts";
import { runContents, runs } from "./schema.ts";

/** Writes the row of a run that begins; a run that is there already, live or settled, stays as it is. */
export function openRun(db: Database): OpenRun {
  return async (start, status) => {
    await insertRun(db, start, status);
  };
}

/**
 * Writes a run's end in one batch. Its statements take effect only while the row is live and the last one settles it,
 * so that of several calls (a retry after a lost reply included) one has an effect; that one returns true.
 */
export function settleRun(db: Database): SettleRun {
  return async (start, outcome, contents) => {
    const unsettled = sql`${owned(start.projectId, start.id)} AND ${isLive}`;
    const packed = contents && packContents(contents);
    const facets = factTokens({
      projectId: start.projectId,
      status: outcome.status,
      source: start.source,
      ...(start.template && { template: start.template.name, version: start.template.version }),
      model: start.modelAsked,
      keyId: start.keyId,
      metadata: start.metadata,
    });
    const counted = [
      insertRun(db, start, "running"),
      db.insert(runContents).select(sql`
        SELECT seq, project_id, ${packed?.request ?? ""}, ${packed?.answer ?? ""}, ${packed?.cut ? 1 : 0}
        FROM runs WHERE ${unsettled} AND ${packed ? 1 : 0}`),
      countUsage(db, { start, outcome, condition: unsettled }),
      db.insert(runSearch).select(sql`
        SELECT seq, ${facets.join(" ")}, ${indexedText(contents)} FROM runs WHERE ${unsettled}`),
    ] as const;
    const settle = db.update(runs).set(endOf(outcome)).where(unsettled).returning({ id: runs.id });
    if (!start.quotaIds?.length) {
      const [, , , , settled] = await db.batch([...counted, settle]);
      return settled.length === 1;
    }
    const budgets = countBudgets(db, { start, outcome, condition: unsettled });
    const [, , , , , settled] = await db.batch([...counted, budgets, settle]);
    return settled.length === 1;
  };
}

/** The insert of a run that begins; `id`, where it is given, may be that of another run, and then nothing is inserted. */
export function insertRun(
  db: Database,
  start: RunStart,
  status: "queued" | "running",
  id: string | SQL<string> = start.id,
) {
  const { template } = start;
  return db
    .insert(runs)
    .values({
      seq: nextSeq(start.createdAtMs),
      id,
      projectId: start.projectId,
      status,
      source: start.source,
      simulated: start.simulated,
      stream: start.stream,
      createdAt: start.createdAtMs,
      keyId: start.keyId,
      templateId: template?.id,
      templateName: template?.name,
      templateVersion: template?.version,
      versionId: template?.versionId,
      label: template?.label,
      partials: template?.partials,
      modelAsked: start.modelAsked,
      metadata: start.metadata,
      retryOf: start.retryOf,
    })
    .onConflictDoNothing({ target: runs.id });
}

function endOf(outcome: RunOutcome) {
  const { usage, cost, ...columns } = outcome;
  return {
    ...columns,
    promptTokens: usage?.promptTokens ?? null,
    completionTokens: usage?.completionTokens ?? null,
    reasoningTokens: usage?.reasoningTokens ?? null,
    costMicros: cost?.micros ?? null,
    costCurrency: cost?.currency ?? null,
  };
}

/** A run with its contents; null when the project has none of that id. */
export function findRun(db: Database): FindRun {
  return async (projectId, id) => {
    const { request, answer, cut } = runContents;
    const row = await db
      .select({ run: runColumns, contents: { request, answer, cut } })
      .from(runs)
      .leftJoin(runContents, and(eq(runContents.seq, runs.seq), eq(runContents.projectId, runs.projectId)))
      .where(owned(projectId, id))
      .get();
    return row ? { run: runOf(row.run), contents: row.contents && unpackContents(row.contents) } : null;
  };
}

/** Replaces score and comment of a run, live or settled. */
export function rateRun(db: Database): RateRun {
  return async (projectId, id, rating) => {
    const row = await db
      .update(runs)
      .set({ score: rating.score, scoreComment: rating.comment })
      .where(owned(projectId, id))
      .returning(runColumns)
      .get();
    return row ? runOf(row) : null;
  };
}

/** Removes a settled run, its contents, its search document, what repeats it and the answer kept for a replay in one batch. */
export function deleteRun(db: Database): DeleteRun {
  return async (projectId, id) => {
    const settled = sql`${owned(projectId, id)} AND NOT (${isLive})`;
    const seq = sql`(SELECT seq FROM runs WHERE ${settled})`;
    const [found] = await db.batch([
      db
        .select({ live: sql<number>`${isLive}` })
        .from(runs)
        .where(owned(projectId, id)),
      db.delete(runSearch).where(sql`rowid = ${seq}`),
      db.delete(runContents).where(sql`seq = ${seq} AND project_id = ${projectId}`),
      forgetAnswer(db, { projectId, id, condition: sql`${seq} IS NOT NULL` }),
      db.delete(jobs).where(sql`seq = ${seq} AND project_id = ${projectId}`),
      db.delete(runs).where(settled),
    ]);
    if (!found[0]) return "missing";
    return found[0].live ? "live" : "deleted";
  };
}

function owned(projectId: string, id: string): SQL | undefined {
  return and(eq(runs.id, id), eq(runs.projectId, projectId));
}
