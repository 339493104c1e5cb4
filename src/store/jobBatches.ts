import { and, asc, desc, eq, gt, gte, isNotNull, lt, type SQL, sql } from "drizzle-orm";
import { limits } from "../contract/limits.ts";
import type { RunStatus } from "../contract/runs.ts";
import { cursorOf, pageOf, startOf } from "../core/cursor.ts";
import { idTimeMs } from "../core/ids.ts";
import type { BatchHolder, BatchStore } from "../core/jobBatchPorts.ts";
import type { JobReader } from "../core/jobPorts.ts";
import type { StoredJob } from "../core/jobSpec.ts";
import type { Database } from "./db.ts";
import { findAnswers, findResults, fitting, resultOf } from "./jobBatchResults.ts";
import { jobs } from "./jobSchema.ts";
import { jsonArrays } from "./jsonArrays.ts";
import { seqAt } from "./runRow.ts";
import { runStatements, startValues } from "./runWrites.ts";
import { runs } from "./schema.ts";

/** Of a JSON array of `{id, index, itemKey, spec}`, where the runs are there; the first job bears the batch's key. */
const insertJobs = `
  INSERT INTO jobs (seq, project_id, idempotency_key, request_digest, run_at, spec, batch_index, item_key)
  SELECT seq, project_id, iif(item ->> 'index' = 0, ?4, NULL), iif(item ->> 'index' = 0, ?5, NULL), ?3,
    item -> 'spec', item ->> 'index', item ->> 'itemKey'
  FROM (SELECT value AS item FROM json_each(?1)) CROSS JOIN runs ON id = item ->> 'id' AND project_id = ?2 WHERE true
  ON CONFLICT DO NOTHING`;

/** The run that holds a key, and with it all others of its batch, in their order; these have its time of creation. */
const membersOfKey = `
  SELECT member.id AS runId, member.batch_id AS batchId, member.created_at AS createdAtMs,
    jobs.run_at AS runAtMs, jobs.request_digest AS requestDigest
  FROM jobs JOIN runs USING (seq) JOIN runs AS member ON member.seq BETWEEN runs.seq AND runs.seq + 4095
    AND (member.seq = runs.seq OR member.batch_id = runs.batch_id)
  WHERE jobs.project_id = ? AND jobs.idempotency_key = ? ORDER BY member.seq`;

type Member = Omit<BatchHolder, "runIds"> & { runId: string };

function holderOf(members: readonly Member[]): BatchHolder | null {
  const [first] = members;
  return first ? { ...first, runIds: members.map(({ runId }) => runId) } : null;
}

/** Batches on D1: nothing but the runs that bear their id, by `seq` in the order of their items, without a gap. */
export function batchStore(db: Database): BatchStore {
  return {
    async submitBatch(batch) {
      const { batchId, projectId, runAtMs, idempotency } = batch;
      const { key, requestDigest } = idempotency ?? { key: null, requestDigest: null };
      const rows = batch.jobs.map(({ start }) => JSON.stringify({ ...startValues(start), status: "queued" }));
      const specs = batch.jobs.map(
        ({ start: { id }, itemKey, json }, index) =>
          `${JSON.stringify({ id, index, itemKey }).slice(0, -1)},"spec":${json}}`,
      );
      const { $client: d1 } = db;
      // `jobs` after all of `runs`: what decides whether the key is free must not change in between.
      const results = await d1.batch<Member>([
        ...jsonArrays(rows).map((runs) => d1.prepare(runStatements(db).submit).bind(runs, key)),
        ...jsonArrays(specs).map((jobs) => d1.prepare(insertJobs).bind(jobs, projectId, runAtMs, key, requestDigest)),
        d1.prepare(membersOfKey).bind(projectId, key),
      ]);
      const members = results.at(-1)?.results ?? [];
      return members[0]?.batchId === batchId ? null : holderOf(members);
    },

    async findBatchHolder(projectId, key) {
      return holderOf((await db.$client.prepare(membersOfKey).bind(projectId, key).all<Member>()).results);
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

/** All runs of the millisecond in which the batch was made: its own follow each other, and few others are among them. */
function windowOf(batchId: string): { from: number; before: number } {
  const createdAtMs = idTimeMs(batchId) ?? 0;
  return { from: seqAt(createdAtMs), before: seqAt(createdAtMs + 1) };
}

function inBatch({ projectId, keyId }: JobReader, batchId: string): SQL | undefined {
  const { from, before } = windowOf(batchId);
  return and(
    gte(runs.seq, from),
    lt(runs.seq, before),
    eq(runs.batchId, batchId),
    eq(runs.projectId, projectId),
    keyId === null ? undefined : eq(runs.keyId, keyId),
  );
}
