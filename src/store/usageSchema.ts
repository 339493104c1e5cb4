import { sql } from "drizzle-orm";
import { index, integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";

/**
 * What is counted and priced, and answers kept for a while; the conventions are those of schema.ts. The aggregates are
 * WITHOUT ROWID by a migration of their own, which Drizzle's schema cannot say: one that rebuilds them has to say it again.
 */

/** Aggregates of settled runs, kept at write time. Empty strings and 0 stand for "none" as keys cannot be null. */
export const usageDaily = sqliteTable(
  "usage_daily",
  {
    projectId: text("project_id").notNull(),
    /** UTC day of creation, YYYY-MM-DD. */
    day: text().notNull(),
    templateName: text("template_name").notNull(),
    templateVersion: integer("template_version").notNull(),
    model: text().notNull(),
    keyId: text("key_id").notNull(),
    currency: text().notNull(),
    runs: integer().notNull(),
    succeeded: integer().notNull(),
    failed: integer().notNull(),
    cancelled: integer().notNull(),
    interrupted: integer().notNull(),
    promptTokens: integer("prompt_tokens").notNull(),
    completionTokens: integer("completion_tokens").notNull(),
    reasoningTokens: integer("reasoning_tokens").notNull(),
    costMicros: integer("cost_micros").notNull(),
    costUnknown: integer("cost_unknown").notNull(),
    firstTokenMsSum: integer("first_token_ms_sum").notNull(),
    firstTokenCount: integer("first_token_count").notNull(),
    totalMsSum: integer("total_ms_sum").notNull(),
    totalCount: integer("total_count").notNull(),
  },
  (table) => [
    primaryKey({
      columns: [
        table.projectId,
        table.day,
        table.templateName,
        table.templateVersion,
        table.model,
        table.keyId,
        table.currency,
      ],
    }),
  ],
);

/**
 * What has been used of a budget, kept at write time for keys and projects that have one: `usage_daily` would have to
 * be summed over templates and models. `quotaId` is a key's, or empty for the project; the currency is empty where a
 * cost is not known.
 */
export const budgetDaily = sqliteTable(
  "budget_daily",
  {
    projectId: text("project_id").notNull(),
    /** UTC day of the runs' creation, YYYY-MM-DD. */
    day: text().notNull(),
    quotaId: text("quota_id").notNull(),
    currency: text().notNull(),
    tokens: integer().notNull(),
    costMicros: integer("cost_micros").notNull(),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.day, table.quotaId, table.currency] })],
);

/** Requests under an Idempotency-Key: running while `status` is null, then finished. */
export const idempotency = sqliteTable(
  "idempotency",
  {
    projectId: text("project_id").notNull(),
    key: text().notNull(),
    /** SHA-256 of the request, hex. */
    requestDigest: text("request_digest").notNull(),
    /** Who holds it: one try of one request. */
    claimId: text("claim_id").notNull(),
    /** From then on the key is free: soon for a running request that is not renewed, a day later for a finished one. */
    expiresAt: integer("expires_at").notNull(),
    /** HTTP status of the answer. */
    status: integer(),
    runId: text("run_id"),
    model: text(),
    /** Null when the answer was not kept. */
    body: text(),
  },
  (table) => [
    primaryKey({ columns: [table.projectId, table.key] }),
    // Deleting a run takes the answer away here too.
    index("idempotency_run").on(table.projectId, table.runId).where(sql`run_id IS NOT NULL`),
    index("idempotency_expires").on(table.expiresAt),
  ],
);

export const modelPrices = sqliteTable(
  "model_prices",
  {
    projectId: text("project_id").notNull(),
    model: text().notNull(),
    inputMicrosPerMillion: integer("input_micros_per_million").notNull(),
    outputMicrosPerMillion: integer("output_micros_per_million").notNull(),
    currency: text().notNull(),
    updatedAt: integer("updated_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.model] })],
);
