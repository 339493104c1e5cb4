import { sql } from "drizzle-orm";
import { integer, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";

/** What a job's run has beside its row in `runs`; the conventions are those of schema.ts. */
export const jobs = sqliteTable(
  "jobs",
  {
    /** That of the run. */
    seq: integer().primaryKey(),
    projectId: text("project_id").notNull(),
    idempotencyKey: text("idempotency_key"),
    /** SHA-256 of the request, hex; stands beside a key. */
    requestDigest: text("request_digest"),
    runAt: integer("run_at").notNull(),
    /** What starts the job, and what repeats it: a `StoredJob`. Null once its contents are not kept any more. */
    spec: text(),
    /** Place among the items of the run's batch, from 0, and the caller's name for it; null outside of batches. */
    batchIndex: integer("batch_index"),
    itemKey: text("item_key"),
  },
  (table) => [
    uniqueIndex("jobs_key").on(table.projectId, table.idempotencyKey).where(sql`idempotency_key IS NOT NULL`),
  ],
);
