import { and, eq, inArray, type SQL, sql } from "drizzle-orm";
import type { RunStart } from "../core/runRecord.ts";
import type { OldLiveRun, SweepStore } from "../core/sweep.ts";
import type { Database } from "./db.ts";
import { jobs } from "./jobSchema.ts";
import { asInteger, isLive, type RunRow, runColumns, runOf, seqAt } from "./runRow.ts";
import { factTokens, runSearch } from "./runSearch.ts";
import { runContents, runs } from "./schema.ts";
import { sweeps } from "./sweepSchema.ts";
import { idempotency } from "./usageSchema.ts";

const walk = "live runs";

/** What the sweeper finds on D1. Every read follows an index of what it seeks, so that it costs what it finds. */
export function sweepStore(db: Database): SweepStore {
  return {
    async findCursor() {
      const row = await db.select().from(sweeps).where(eq(sweeps.name, walk)).get();
      return row?.cursor ?? null;
    },

    async moveCursor(cursor) {
      if (cursor === null) await db.delete(sweeps).where(eq(sweeps.name, walk));
      else
        await db
          .insert(sweeps)
          .values({ name: walk, cursor })
          .onConflictDoUpdate({ target: sweeps.name, set: { cursor } });
    },

    async listOldLiveRuns(cursor, { createdBeforeMs, limit }) {
      const after = cursor === null ? { projectId: "", seq: 0 } : placeOf(cursor);
      const place = { projectId: runs.projectId, seq: runs.seq };
      const live = (where: SQL) => db.select(place).from(runs).where(and(isLive, where));
      // Not one comparison of pairs: the index would be entered at the project's first run.
      const slice = await live(sql`project_id = ${after.projectId} AND seq > ${asInteger(after.seq)}`)
        .unionAll(live(sql`project_id > ${after.projectId}`))
        .orderBy(sql`project_id`, sql`seq`)
        .limit(limit);
      const last = slice.at(-1);
      const old = slice.filter(({ seq }) => seq < seqAt(createdBeforeMs));
      const rows =
        old.length === 0
          ? []
          : await db
              .select({ ...place, id: runs.id, createdAt: runs.createdAt, runAt: jobs.runAt })
              .from(runs)
              .leftJoin(jobs, eq(jobs.seq, runs.seq))
              .where(and(inArray(runs.seq, listed(old.map(({ seq }) => seq))), sql`+${isLive}`))
              .orderBy(runs.projectId, runs.seq);
      return { runs: rows.map(oldLiveRun), next: slice.length === limit && last ? cursorAt(last) : null };
    },

    async findLiveStarts(runIds) {
      const rows = await db
        .select({ run: runColumns, projectId: runs.projectId })
        .from(runs)
        .where(and(inArray(runs.id, listed(runIds)), sql`+${isLive}`));
      return rows.map(({ run, projectId }) => startOf(run, projectId));
    },

    async pruneContents(nowMs, limit) {
      const { seq, expiresAt } = runContents;
      const found = await db
        .select({ run: runColumns, projectId: runs.projectId })
        .from(runContents)
        .innerJoin(runs, eq(runs.seq, seq))
        .where(sql`${expiresAt} <= ${nowMs}`)
        .orderBy(expiresAt)
        .limit(limit);
      if (found.length === 0) return 0;
      const seqs = listed(found.map(({ run }) => run.seq));
      const documents = JSON.stringify(
        found.map(({ run, projectId }) => ({ seq: run.seq, facets: facetsOf(run, projectId) })),
      );
      await db.batch([
        // The index cannot forget a part of a document. A run that was deleted meanwhile has none.
        db.delete(runSearch).where(sql`rowid IN (SELECT seq FROM run_contents WHERE seq IN ${seqs})`),
        db.insert(runSearch).select(
          sql`SELECT value ->> 'seq', value ->> 'facets', '' FROM json_each(${documents})
            WHERE (value ->> 'seq') IN (SELECT seq FROM run_contents WHERE seq IN ${seqs})`,
        ),
        db.update(jobs).set({ spec: null }).where(inArray(jobs.seq, seqs)),
        db.delete(runContents).where(inArray(seq, seqs)),
      ]);
      return found.length;
    },

    async pruneIdempotency(expiredBeforeMs, limit) {
      const { meta } = await db
        .delete(idempotency)
        .where(
          sql`rowid IN (SELECT rowid FROM idempotency WHERE expires_at <= ${expiredBeforeMs} ORDER BY expires_at LIMIT ${limit})`,
        );
      return meta.changes;
    },
  };
}

const listed = (values: readonly (number | string)[]) => sql`(SELECT value FROM json_each(${JSON.stringify(values)}))`;

type Place = { projectId: string; seq: number };

const cursorAt = ({ projectId, seq }: Place) => `${projectId} ${seq}`;

function placeOf(cursor: string): Place {
  const [projectId = "", seq = "0"] = cursor.split(" ");
  return { projectId, seq: Number(seq) };
}

type Found = Place & { id: string; createdAt: number; runAt: number | null };

function oldLiveRun({ projectId, seq, id, createdAt, runAt }: Found): OldLiveRun {
  const job = runAt === null ? null : { runAtMs: runAt };
  return { id, projectId, createdAtMs: createdAt, job, cursor: cursorAt({ projectId, seq }) };
}

/** What was known when the run began; but not the quotas it counts against, which only a usage would matter to. */
function startOf(row: RunRow, projectId: string): RunStart {
  const { id, source, keyId, stream, simulated, template, modelAsked, metadata, retryOf } = runOf(row);
  return {
    id,
    projectId,
    createdAtMs: row.createdAt,
    source,
    keyId,
    stream,
    simulated,
    template,
    modelAsked,
    metadata,
    ...(retryOf !== null && { retryOf }),
  };
}

function facetsOf(row: RunRow, projectId: string): string {
  const { status, source, templateName, templateVersion, modelAsked, keyId, metadata } = row;
  const template =
    templateName === null || templateVersion === null ? {} : { template: templateName, version: templateVersion };
  return factTokens({ projectId, status, source, ...template, model: modelAsked, keyId, metadata }).join(" ");
}
