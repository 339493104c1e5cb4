import { and, asc, desc, eq, gt, isNotNull, lt, type SQL, sql } from "drizzle-orm";
import { limits } from "../contract/limits.ts";
import type { RunStatus } from "../contract/runs.ts";
import { cursorOf, pageOf, startOf } from "../core/cursor.ts";
import type { BatchHolder, BatchStore, NewBatch } from "../core/jobBatchPorts.ts";
import type { JobReader } from "../core/jobPorts.ts";
import type { StoredJob } from "../core/jobSpec.ts";
import type { Database } from "./db.ts";
import { findAnswers, findResults, fitting, resultOf } from "./jobBatchResults.ts";
import { jobs } from "./jobSchema.ts";
import { unlessTaken } from "./jobs.ts";
import { insertRuns, startValues } from "./runWrites.ts";
import { runs } from "./schema.ts";

/** Batches on D1: nothing but the runs that bear their id, by `seq` in the order of their items. */
export function batchStore(db: Database): BatchStore {
  return {
    async submitBatch(batch) {
      const { projectId, idempotency } = batch;
      const unless = idempotency ? unlessTaken(projectId, idempotency.key) : undefined;
      const rows = batch.jobs.map(({ start }) => JSON.stringify({ ...startValues(start), status: "queued" }));
      const specs = batch.jobs.map(
        ({ start: { id }, itemKey, json }, index) =>
          `${JSON.stringify({ id, index, itemKey }).slice(0, -1)},"spec":${json}}`,
      );
      // `jobs` after all of `runs`: what the key's condition looks at must not change in between.
      const [first, ...others] = [
        ...jsonArrays(rows).map((json) =>
          insertRuns(db, sql`${json}`, unless).onConflictDoNothing({ target: runs.id }),
        ),
        ...jsonArrays(specs).map((json) => insertJobs(db, batch, json)),
      ];
      if (first) await db.batch([first, ...others]);
      if (!idempotency) return null;
      const holder = await findHolder(db, projectId, idempotency.key);
      if (!holder) throw new Error("a batch that was just submitted is not there");
      return holder.batchId === batch.batchId ? null : holder;
    },

    async countBatch(reader, batchId) {
      const rows = await db
        .select({ status: runs.status, count: sql<number>`count(*)`, createdAt: runs.createdAt })
        .from(runs)
        .where(inBatch(reader, batchId))
        .groupBy(runs.status);
      const [first] = rows;
      if (!first) return null;
      const count = (status: RunStatus) => rows.find((row) => row.status === status)?.count ?? 0;
      return {
        batchId,
        createdAt: new Date(first.createdAt).toISOString(),
        total: rows.reduce((sum, row) => sum + row.count, 0),
        queued: count("queued"),
        running: count("running"),
        succeeded: count("succeeded"),
        failed: count("failed"),
        cancelled: count("cancelled"),
        interrupted: count("interrupted"),
      };
    },

    async listBatchResults(reader, { batchId, cursor, limit }) {
      const after = startOf(cursor, "batch", /^\d{1,16}$/);
      const rows = await findResults(db, {
        where: and(inBatch(reader, batchId), after === undefined ? undefined : gt(runs.seq, Number(after))),
        limit: limit + 1,
      });
      const { items, nextCursor } = pageOf(rows, Math.min(limit, fitting(rows)), ({ seq }) =>
        cursorOf("batch", String(seq)),
      );
      const answers = await findAnswers(db, reader.projectId, items);
      return { items: items.map((row) => resultOf(row, answers.get(row.seq))), nextCursor };
    },

    async findBatchJobs({ projectId, batchId }, { status, seq, order }) {
      const isBeyond = order === "ascending" ? gt : lt;
      const rows = await db
        .select({ seq: runs.seq, runId: runs.id, stored: jobs.spec })
        .from(runs)
        .innerJoin(jobs, eq(jobs.seq, runs.seq))
        .where(
          and(
            inBatch({ projectId, keyId: null }, batchId),
            eq(runs.status, status),
            isNotNull(jobs.spec),
            seq === null ? undefined : isBeyond(runs.seq, seq),
          ),
        )
        .orderBy(order === "ascending" ? asc(runs.seq) : desc(runs.seq))
        .limit(limits.batchSliceJobs);
      return rows.map(({ stored, ...job }) => ({ ...job, spec: (JSON.parse(stored ?? "") as StoredJob).spec }));
    },
  };
}

function inBatch({ projectId, keyId }: JobReader, batchId: string): SQL | undefined {
  return and(
    eq(runs.batchId, batchId),
    eq(runs.projectId, projectId),
    keyId === null ? undefined : eq(runs.keyId, keyId),
  );
}

/** Inserts a JSON array of `{id, index, itemKey, spec}` where the runs are there; the first job bears the batch's key. */
function insertJobs(db: Database, { projectId, runAtMs, idempotency }: NewBatch, json: string) {
  const ofFirst = (value: string | undefined) => sql`CASE WHEN item ->> 'index' = 0 THEN ${value ?? null} END`;
  return db
    .insert(jobs)
    .select(
      // Every column, in the order of jobSchema.ts.
      sql`SELECT seq, project_id, ${ofFirst(idempotency?.key)}, ${ofFirst(idempotency?.requestDigest)}, ${runAtMs},
          item -> 'spec', item ->> 'index', item ->> 'itemKey'
        FROM (SELECT value AS item FROM json_each(${json})) JOIN runs ON id = item ->> 'id' AND project_id = ${projectId}
        WHERE true`,
    )
    .onConflictDoNothing();
}

async function findHolder(db: Database, projectId: string, key: string): Promise<BatchHolder | null> {
  const holder = await db
    .select({
      batchId: runs.batchId,
      createdAtMs: runs.createdAt,
      runAtMs: jobs.runAt,
      runId: runs.id,
      requestDigest: jobs.requestDigest,
    })
    .from(jobs)
    .innerJoin(runs, eq(runs.seq, jobs.seq))
    .where(and(eq(jobs.projectId, projectId), eq(jobs.idempotencyKey, key)))
    .get();
  if (!holder) return null;
  const { runId, ...held } = holder;
  if (held.batchId === null) return { ...held, runIds: [runId] };
  const members = await db
    .select({ id: runs.id })
    .from(runs)
    .where(inBatch({ projectId, keyId: null }, held.batchId))
    .orderBy(runs.seq);
  return { ...held, runIds: members.map(({ id }) => id) };
}

const encoder = new TextEncoder();

/** JSON texts as few JSON arrays, of `limits.maxBoundJsonBytes` where each text is shorter than that. */
function jsonArrays(texts: readonly string[]): string[] {
  const groups: string[][] = [];
  let room = 0;
  for (const text of texts) {
    const bytes = encoder.encode(text).length + 1;
    room -= bytes;
    const last = groups.at(-1);
    if (last && room >= 0) last.push(text);
    else {
      groups.push([text]);
      room = limits.maxBoundJsonBytes - bytes;
    }
  }
  return groups.map((group) => `[${group.join()}]`);
}
