import { and, eq, isNotNull, sql } from "drizzle-orm";
import type { JobStore, SubmittedJob } from "../core/jobPorts.ts";
import type { StoredJob } from "../core/jobSpec.ts";
import type { Database } from "./db.ts";
import { jobs } from "./jobSchema.ts";
import { runStatements, startValues } from "./runWrites.ts";
import { runs } from "./schema.ts";

/** Nothing where another run holds the key, as then there is no such run. */
export const insertJob = `INSERT INTO jobs (seq, project_id, idempotency_key, request_digest, run_at, spec)
  SELECT seq, project_id, ?, ?, ?, ? FROM runs WHERE id = ? AND project_id = ? ON CONFLICT DO NOTHING`;

const holderOf = (
  condition: string,
) => `SELECT runs.id AS runId, runs.created_at AS createdAtMs, runs.retry_of AS retryOf, runs.status,
  runs.model_asked AS modelAsked, runs.metadata,
  jobs.run_at AS runAtMs, jobs.request_digest AS requestDigest FROM jobs JOIN runs USING (seq) WHERE ${condition}`;
const holderOfKey = holderOf("jobs.project_id = ? AND jobs.idempotency_key = ?");
const jobOfRun = holderOf("runs.project_id = ? AND runs.id = ?");

type HolderRow = Omit<SubmittedJob, "metadata"> & { metadata: string };

function submittedJob(row: HolderRow): SubmittedJob {
  return { ...row, metadata: JSON.parse(row.metadata) as SubmittedJob["metadata"] };
}

/** Jobs on D1: what is needed to start one, and who holds an idempotency key. */
export function jobStore(db: Database): JobStore {
  return {
    async submitJob({ start, runAtMs, json, idempotency }) {
      const { id, projectId } = start;
      const key = idempotency?.key ?? null;
      const row = JSON.stringify([{ ...startValues(start), status: "queued" }]);
      const digest = idempotency?.requestDigest ?? null;
      const { $client: d1 } = db;
      const [, , found] = await d1.batch<HolderRow>([
        d1.prepare(runStatements(db).submit).bind(row, key),
        d1.prepare(insertJob).bind(key, digest, runAtMs, json, id, projectId),
        key === null ? d1.prepare(jobOfRun).bind(projectId, id) : d1.prepare(holderOfKey).bind(projectId, key),
      ]);
      const holder = found?.results[0];
      if (!holder) throw new Error("a job that was just submitted is not there");
      return submittedJob(holder);
    },

    async findHolder(projectId, key) {
      const row = await db.$client.prepare(holderOfKey).bind(projectId, key).first<HolderRow>();
      return row && submittedJob(row);
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
      const ofRun = sql`seq = (SELECT seq FROM runs WHERE id = ${runId} AND project_id = ${projectId})`;
      await db
        .update(jobs)
        .set({ spec: null })
        .where(and(ofRun, isNotNull(jobs.spec)));
    },
  };
}
