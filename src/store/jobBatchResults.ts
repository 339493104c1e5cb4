import { and, eq, gte, lte, type SQL, sql } from "drizzle-orm";
import type { ErrorCode } from "../contract/errors.ts";
import type { BatchResult } from "../contract/jobBatches.ts";
import { limits } from "../contract/limits.ts";
import type { Database } from "./db.ts";
import { jobs } from "./jobSchema.ts";
import { runContents, runs } from "./schema.ts";

/** Runs of a batch by `seq`, with the lengths of their answers instead of these. */
export function findResults(db: Database, { where, limit }: { where: SQL | undefined; limit: number }) {
  return db
    .select({
      seq: runs.seq,
      runId: runs.id,
      status: runs.status,
      errorCode: runs.errorCode,
      errorMessage: runs.errorMessage,
      outputValid: runs.outputValid,
      index: jobs.batchIndex,
      key: jobs.itemKey,
      answerBytes: sql<number>`coalesce(octet_length(${runContents.answer}), 0)`,
    })
    .from(runs)
    .innerJoin(jobs, eq(jobs.seq, runs.seq))
    .leftJoin(runContents, eq(runContents.seq, runs.seq))
    .where(where)
    .orderBy(runs.seq)
    .limit(limit);
}

export type ResultRow = Awaited<ReturnType<typeof findResults>>[number];

/** How many of the rows make a page of answers: at least one, whose length is bounded by what is stored. */
export function fitting(rows: readonly ResultRow[]): number {
  let room: number = limits.maxResultPageBytes;
  const over = rows.findIndex(({ answerBytes }) => {
    room -= answerBytes;
    return room < 0;
  });
  return over === -1 ? rows.length : Math.max(1, over);
}

/** What a result tells of an answer, as JSON texts. */
type Answer = { content: string | null; output: string | null; cut: number | null };

/** The answers of rows that follow each other, by `seq`. */
export async function findAnswers(
  db: Database,
  projectId: string,
  rows: readonly ResultRow[],
): Promise<ReadonlyMap<number, Answer>> {
  const [first] = rows;
  const last = rows.at(-1);
  if (!first || !last) return new Map();
  const { seq } = runContents;
  const answers = await db
    .select({
      seq,
      content: sql<string | null>`${runContents.answer} -> 'content'`,
      output: sql<string | null>`${runContents.answer} -> 'output'`,
      cut: sql<number | null>`${runContents.answer} ->> 'answerCut'`,
    })
    .from(runContents)
    .where(and(gte(seq, first.seq), lte(seq, last.seq), eq(runContents.projectId, projectId)));
  return new Map(answers.map((answer) => [answer.seq, answer]));
}

export function resultOf(row: ResultRow, answer: Answer | undefined): BatchResult {
  const { index, key, runId, status, errorCode, errorMessage, outputValid } = row;
  return {
    index: index ?? 0,
    key,
    runId,
    status,
    content: answer?.content ? (JSON.parse(answer.content) as string | null) : null,
    ...(answer?.output && !answer.cut && { output: JSON.parse(answer.output) as unknown }),
    outputValid,
    ...(answer?.cut && { answerCut: true as const }),
    // Codes were written by us, so their type is taken as read.
    error: errorCode === null ? null : { code: errorCode as ErrorCode, message: errorMessage ?? "" },
  };
}
