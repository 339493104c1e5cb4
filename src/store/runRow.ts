import { sql } from "drizzle-orm";
import type { ErrorCode } from "../contract/errors.ts";
import type { Attempt, Run } from "../contract/runs.ts";
import { runs } from "./schema.ts";

const epochMs = Date.UTC(2020, 0, 1);
const seqsPerMs = 4096;
const lowestSeq = sql.raw(`(((value ->> 'createdAt') - ${epochMs}) * ${seqsPerMs})`);

/**
 * The lowest `runs.seq` that a run created at `createdAtMs` can have: a bound on time is a bound on `seq`.
 * Exact in a double until 2089.
 */
export function seqAt(createdAtMs: number): number {
  return (createdAtMs - epochMs) * seqsPerMs;
}

/**
 * The next free `seq` of each row's millisecond, as an SQL expression for an insert into `runs` from a JSON array whose
 * objects have `createdAt`. The rows of one array do not see each other: those of one millisecond are counted apart.
 */
export const newSeq = sql<number>`coalesce(
  (SELECT max(seq) + 1 FROM runs WHERE seq >= ${lowestSeq} AND seq < ${lowestSeq} + ${sql.raw(String(seqsPerMs))}), ${lowestSeq})
  + row_number() OVER (PARTITION BY value ->> 'createdAt' ORDER BY value ->> 'id') - 1`;

/** D1 binds every JavaScript number as REAL, which FTS5 ignores as a bound of `rowid`. */
export function asInteger(value: number) {
  return sql`CAST(${value} AS INTEGER)`;
}

/** Settled rows never change their status again; the words also pick the partial index `runs_live`. */
export const isLive = sql`runs.status IN ('queued', 'running')`;

/** The UTC day of a run's creation, YYYY-MM-DD. */
export const dayOfRun = sql`date(runs.created_at / 1000, 'unixepoch')`;

/** What a `Run` is made of, and what a list pages by. */
export const runColumns = {
  seq: runs.seq,
  id: runs.id,
  status: runs.status,
  source: runs.source,
  simulated: runs.simulated,
  stream: runs.stream,
  createdAt: runs.createdAt,
  keyId: runs.keyId,
  templateId: runs.templateId,
  templateName: runs.templateName,
  templateVersion: runs.templateVersion,
  versionId: runs.versionId,
  label: runs.label,
  partials: runs.partials,
  retryOf: runs.retryOf,
  batchId: runs.batchId,
  modelAsked: runs.modelAsked,
  modelAnswered: runs.modelAnswered,
  upstream: runs.upstream,
  errorCode: runs.errorCode,
  errorMessage: runs.errorMessage,
  finishReason: runs.finishReason,
  malformed: runs.malformed,
  attempts: runs.attempts,
  promptTokens: runs.promptTokens,
  completionTokens: runs.completionTokens,
  reasoningTokens: runs.reasoningTokens,
  usageSource: runs.usageSource,
  costMicros: runs.costMicros,
  costCurrency: runs.costCurrency,
  queueMs: runs.queueMs,
  headersMs: runs.headersMs,
  firstTokenMs: runs.firstTokenMs,
  totalMs: runs.totalMs,
  outputValid: runs.outputValid,
  metadata: runs.metadata,
  score: runs.score,
  scoreComment: runs.scoreComment,
};

export type RunRow = Omit<typeof runs.$inferSelect, "projectId" | "settledBy">;

/** A row as the wire shows it. Codes and attempts were written by us, so their types are taken as read. */
export function runOf(row: RunRow): Run {
  const { templateId, templateName, templateVersion, versionId } = row;
  return {
    id: row.id,
    status: row.status,
    source: row.source,
    simulated: row.simulated,
    stream: row.stream,
    createdAt: new Date(row.createdAt).toISOString(),
    keyId: row.keyId,
    template:
      templateId === null || templateName === null || templateVersion === null || versionId === null
        ? null
        : {
            id: templateId,
            name: templateName,
            version: templateVersion,
            versionId,
            label: row.label,
            partials: row.partials ?? [],
          },
    retryOf: row.retryOf,
    batchId: row.batchId,
    modelAsked: row.modelAsked,
    modelAnswered: row.modelAnswered,
    upstream: row.upstream,
    errorCode: row.errorCode as ErrorCode | null,
    errorMessage: row.errorMessage,
    finishReason: row.finishReason,
    malformed: row.malformed,
    attempts: (row.attempts ?? []) as Attempt[],
    usage:
      row.promptTokens === null || row.completionTokens === null
        ? null
        : {
            promptTokens: row.promptTokens,
            completionTokens: row.completionTokens,
            reasoningTokens: row.reasoningTokens,
          },
    usageSource: row.usageSource,
    cost:
      row.costMicros === null || row.costCurrency === null
        ? null
        : { micros: row.costMicros, currency: row.costCurrency },
    timings: {
      queueMs: row.queueMs,
      headersMs: row.headersMs,
      firstTokenMs: row.firstTokenMs,
      totalMs: row.totalMs,
    },
    outputValid: row.outputValid,
    metadata: row.metadata,
    score: row.score,
    scoreComment: row.scoreComment,
  };
}
