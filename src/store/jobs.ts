import { and, eq, isNotNull, sql } from "drizzle-orm";
import type { JobStore } from "../core/jobPorts.ts";
import type { StoredJob } from "../core/jobSpec.ts";
import type { Database } from "./db.ts";
import { jobs } from "./jobSchema.ts";
import { insertRuns, startValues } from "./runWrites.ts";
import { runs } from "./schema.ts";

/** Jobs on D1: what is needed to start one, and who holds an idempotency key. */
export function jobStore(db: Database): JobStore {
  return {
    async submitJob({ start, runAtMs, json, idempotency }) {
      const { projectId } = start;
      const key = idempotency?.key ?? null;
      const columns = { id: runs.id, createdAt: runs.createdAt, retryOf: runs.retryOf };
      const [, , [holder]] = await db.batch([
        insertRuns(
          db,
          sql`${JSON.stringify([{ ...startValues(start), status: "queued" }])}`,
          key === null ? undefined : unlessTaken(projectId, key),
        ).onConflictDoNothing({ target: runs.id }),
        db
          .insert(jobs)
          .select(
            // Every column, in the order of jobSchema.ts.
            sql`SELECT seq, project_id, ${key}, ${idempotency?.requestDigest ?? null}, ${runAtMs}, ${json}, NULL, NULL
              FROM runs WHERE id = ${start.id} AND project_id = ${projectId}`,
          )
          .onConflictDoNothing(),
        db
          .select({ ...columns, requestDigest: jobs.requestDigest, runAt: jobs.runAt })
          .from(jobs)
          .innerJoin(runs, eq(runs.seq, jobs.seq))
          .where(
            key === null ? eq(runs.id, start.id) : and(eq(jobs.projectId, projectId), eq(jobs.idempotencyKey, key)),
          ),
      ]);
      if (!holder) throw new Error("a job that was just submitted is not there");
      const { id: runId, createdAt: createdAtMs, runAt, retryOf, requestDigest } = holder;
      return { runId, createdAtMs, runAtMs: runAt, retryOf, requestDigest };
    },

    async findStoredJob(projectId, runId) {
      const row = await db
        .select({ spec: jobs.spec })
        .from(runs)
        .innerJoin(jobs, eq(jobs.seq, runs.seq))
        .where(and(eq(runs.id, runId), eq(runs.projectId, projectId)))
        .get();
      if (!row) return null;
      return { stored: row.spec === null ? null : (JSON.parse(row.spec) as StoredJob) };
    },

    async markRunning(projectId, runId) {
      await db
        .update(runs)
        .set({ status: "running" })
        .where(and(eq(runs.id, runId), eq(runs.projectId, projectId), eq(runs.status, "queued")));
    },

    async forgetSpec(projectId, runId) {
      await db
        .update(jobs)
        .set({ spec: null })
        .where(
          and(
            sql`seq = (SELECT seq FROM runs WHERE id = ${runId} AND project_id = ${projectId})`,
            isNotNull(jobs.spec),
          ),
        );
    },
  };
}

export function unlessTaken(projectId: string, key: string) {
  return sql`NOT EXISTS (SELECT 1 FROM jobs WHERE project_id = ${projectId} AND idempotency_key = ${key})`;
}
