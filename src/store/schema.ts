import { sql } from "drizzle-orm";
import { index, integer, primaryKey, real, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";

/** Times are milliseconds since the epoch; JSON columns hold contract shapes. */

/** What may be used in one UTC day; null: without bound. A cost in another currency than the budget's does not count. */
function dailyBudget() {
  return {
    tokensPerDay: integer("tokens_per_day"),
    costPerDayMicros: integer("cost_per_day_micros"),
    costPerDayCurrency: text("cost_per_day_currency"),
  };
}

export const projects = sqliteTable("projects", {
  id: text().primaryKey(),
  name: text().notNull(),
  keepContents: integer("keep_contents", { mode: "boolean" }).notNull().default(true),
  /** Days that contents are kept; null: for ever. */
  retentionDays: integer("retention_days"),
  ...dailyBudget(),
  /** Jobs that may call upstreams at a time; null: the default. */
  maxJobs: integer("max_jobs"),
  createdAt: integer("created_at").notNull(),
});

export const keys = sqliteTable(
  "keys",
  {
    id: text().primaryKey(),
    projectId: text("project_id").notNull(),
    kind: text({ enum: ["secret", "publishable"] }).notNull(),
    name: text().notNull(),
    /** SHA-256 of the whole key, hex. */
    digest: text().notNull(),
    hint: text().notNull(),
    scopes: text({ mode: "json" }).$type<string[]>().notNull(),
    origins: text({ mode: "json" }).$type<string[]>().notNull(),
    createdAt: integer("created_at").notNull(),
    expiresAt: integer("expires_at"),
    revokedAt: integer("revoked_at"),
    rotatedFrom: text("rotated_from"),
    /** The key whose limits these are: itself, or the first of those it was rotated from, so that rotation resets nothing. */
    quotaId: text("quota_id").notNull(),
    /** Null: without bound. */
    requestsPerMinute: integer("requests_per_minute"),
    ...dailyBudget(),
  },
  (table) => [
    uniqueIndex("keys_digest").on(table.digest),
    index("keys_project").on(table.projectId, table.id),
    // A key's successors, oldest first; most keys have no predecessor.
    index("keys_rotated").on(table.projectId, table.rotatedFrom, table.id).where(sql`rotated_from IS NOT NULL`),
  ],
);

export const templates = sqliteTable(
  "templates",
  {
    id: text().primaryKey(),
    projectId: text("project_id").notNull(),
    name: text().notNull(),
    description: text().notNull(),
    kind: text({ enum: ["chat", "text"] }).notNull(),
    listed: integer({ mode: "boolean" }).notNull(),
    archivedAt: integer("archived_at"),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
  },
  (table) => [
    uniqueIndex("templates_name").on(table.projectId, table.name),
    // Lists show either kind, and must not read past the other.
    index("templates_active").on(table.projectId, table.name).where(sql`archived_at IS NULL`),
    index("templates_archived").on(table.projectId, table.name).where(sql`archived_at IS NOT NULL`),
  ],
);

export const templateVersions = sqliteTable(
  "template_versions",
  {
    id: text().primaryKey(),
    projectId: text("project_id").notNull(),
    templateId: text("template_id").notNull(),
    version: integer().notNull(),
    content: text({ mode: "json" }).$type<Record<string, unknown>>().notNull(),
    /** SHA-256 of the canonical contents, hex: identical contents are one version. */
    contentDigest: text("content_digest").notNull(),
    /** The JSON Schema in force. */
    variables: text({ mode: "json" }).$type<Record<string, unknown>>().notNull(),
    note: text().notNull(),
    createdBy: text("created_by").notNull(),
    createdAt: integer("created_at").notNull(),
  },
  (table) => [
    uniqueIndex("template_versions_number").on(table.projectId, table.templateId, table.version),
    uniqueIndex("template_versions_content").on(table.projectId, table.templateId, table.contentDigest),
  ],
);

export const templateLabels = sqliteTable(
  "template_labels",
  {
    projectId: text("project_id").notNull(),
    templateId: text("template_id").notNull(),
    label: text().notNull(),
    version: integer().notNull(),
    updatedAt: integer("updated_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.templateId, table.label] })],
);

export const labelMoves = sqliteTable(
  "label_moves",
  {
    id: text().primaryKey(),
    projectId: text("project_id").notNull(),
    templateId: text("template_id").notNull(),
    label: text().notNull(),
    fromVersion: integer("from_version"),
    toVersion: integer("to_version").notNull(),
    movedBy: text("moved_by").notNull(),
    movedAt: integer("moved_at").notNull(),
    breaking: text({ mode: "json" }).$type<unknown[]>().notNull(),
  },
  (table) => [
    index("label_moves_template").on(table.projectId, table.templateId, table.id),
    index("label_moves_label").on(table.projectId, table.templateId, table.label, table.id),
  ],
);

/**
 * `seq` orders runs by creation and is their row id: milliseconds since 2020 times 4,096 plus a counter, so that a
 * time bound is a bound on `seq`, and the search index (keyed by row id) lists in the same order.
 */
export const runs = sqliteTable(
  "runs",
  {
    seq: integer().primaryKey(),
    id: text().notNull(),
    projectId: text("project_id").notNull(),
    status: text({
      enum: ["queued", "running", "succeeded", "failed", "cancelled", "interrupted"],
    }).notNull(),
    source: text({ enum: ["trpc", "openai", "webhook", "console"] }).notNull(),
    simulated: integer({ mode: "boolean" }).notNull(),
    stream: integer({ mode: "boolean" }).notNull(),
    createdAt: integer("created_at").notNull(),
    keyId: text("key_id").notNull(),
    templateId: text("template_id"),
    templateName: text("template_name"),
    templateVersion: integer("template_version"),
    versionId: text("version_id"),
    label: text(),
    partials: text({ mode: "json" }).$type<{ name: string; version: number }[]>(),
    modelAsked: text("model_asked").notNull(),
    modelAnswered: text("model_answered"),
    upstream: text(),
    errorCode: text("error_code"),
    errorMessage: text("error_message"),
    finishReason: text("finish_reason"),
    malformed: integer({ mode: "boolean" }).notNull().default(false),
    attempts: text({ mode: "json" }).$type<unknown[]>(),
    promptTokens: integer("prompt_tokens"),
    completionTokens: integer("completion_tokens"),
    reasoningTokens: integer("reasoning_tokens"),
    usageSource: text("usage_source", { enum: ["upstream", "estimated", "unknown"] })
      .notNull()
      .default("unknown"),
    costMicros: integer("cost_micros"),
    costCurrency: text("cost_currency"),
    queueMs: integer("queue_ms"),
    headersMs: integer("headers_ms"),
    firstTokenMs: integer("first_token_ms"),
    totalMs: integer("total_ms"),
    outputValid: integer("output_valid", { mode: "boolean" }),
    metadata: text({ mode: "json" }).$type<Record<string, string>>().notNull(),
    /** From -1 to 1. */
    score: real(),
    scoreComment: text("score_comment"),
    /** The mark of the batch that settled it, by which the batch's other statements know their runs. */
    settledBy: integer("settled_by"),
    /** The run that this one repeats. */
    retryOf: text("retry_of"),
    /** Runs of one batch have one time of creation, that of its id, and so are found by `seq`. */
    batchId: text("batch_id"),
  },
  (table) => [
    uniqueIndex("runs_id").on(table.id),
    index("runs_project").on(table.projectId, table.seq),
    // Live runs are few; settled ones are found through run_search.
    index("runs_live").on(table.projectId, table.seq).where(sql`status IN ('queued', 'running')`),
  ],
);

/** Request and answer of a run, apart so that lists stay light. */
export const runContents = sqliteTable(
  "run_contents",
  {
    seq: integer().primaryKey(),
    projectId: text("project_id").notNull(),
    request: text({ mode: "json" }).$type<Record<string, unknown>>().notNull(),
    answer: text({ mode: "json" }).$type<Record<string, unknown>>().notNull(),
    cut: integer({ mode: "boolean" }).notNull(),
    /** When the project's retention, as it was at the run's end, is over; null: never. */
    expiresAt: integer("expires_at"),
  },
  (table) => [index("run_contents_expires").on(table.expiresAt).where(sql`expires_at IS NOT NULL`)],
);

/** Secrets are sealed (`core/secretBox.ts`); an archived upstream has none. */
export const upstreams = sqliteTable(
  "upstreams",
  {
    id: text().primaryKey(),
    projectId: text("project_id").notNull(),
    name: text().notNull(),
    baseUrl: text("base_url").notNull(),
    sealedKey: text("sealed_key"),
    keyHint: text("key_hint"),
    /** JSON of names and values. */
    sealedHeaders: text("sealed_headers"),
    headerNames: text("header_names", { mode: "json" }).$type<string[]>().notNull(),
    models: text({ mode: "json" }).$type<Record<string, string>>().notNull(),
    /** Jobs that may call it at a time; null: as many as the project's jobs. */
    maxJobs: integer("max_jobs"),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
    archivedAt: integer("archived_at"),
  },
  (table) => [
    // Archiving frees the name. A project has few active ones, so this serves lists and routing too.
    uniqueIndex("upstreams_active").on(table.projectId, table.name).where(sql`archived_at IS NULL`),
    index("upstreams_archived").on(table.projectId, table.id).where(sql`archived_at IS NOT NULL`),
  ],
);
