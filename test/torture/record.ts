import type { Attempt } from "../../src/contract/runs.ts";
import type { LocalDatabase } from "../../src/local/runtime.ts";

/** A job as the run log has it. */
export type Row = {
  id: string;
  /** Null for runs of events. */
  tag: string | null;
  /** The run that it repeats. */
  retryOf: string | null;
  status: string;
  errorCode: string | null;
  createdAt: number;
  attempts: Attempt[];
  /** Null: not kept. */
  answer: { content: string | null; reasoning: string | null; toolCalls: { function: { arguments: string } }[] } | null;
};

/** An event as a trigger has stored it. */
export type EventRow = { id: string; runId: string | null };

export async function readEvents(database: LocalDatabase): Promise<EventRow[]> {
  const { results } = await database.prepare("SELECT id, run_id AS runId FROM events").all<EventRow>();
  return results;
}

/** The tags of the jobs that have not ended. */
export async function liveTags(database: LocalDatabase): Promise<Map<string, string>> {
  const { results } = await database
    .prepare("SELECT id, metadata ->> 'tag' AS tag FROM runs WHERE status IN ('queued', 'running')")
    .all<{ id: string; tag: string }>();
  return new Map(results.map(({ id, tag }) => [id, tag]));
}

/** Every run on record, and how many ends the daily usage has counted. */
export async function readRecord(database: LocalDatabase): Promise<{ rows: Row[]; counted: number }> {
  const rows: Row[] = [];
  for (let after = 0; ; ) {
    const { results } = await database
      .prepare(
        `SELECT seq, id, metadata ->> 'tag' AS tag, retry_of AS retryOf, status, error_code AS errorCode, created_at AS createdAt, attempts, answer
          FROM runs LEFT JOIN run_contents USING (seq) WHERE seq > ? ORDER BY seq LIMIT 200`,
      )
      .bind(after)
      .all<Omit<Row, "attempts" | "answer"> & { seq: number; attempts: string | null; answer: string | null }>();
    for (const { attempts, answer, ...row } of results)
      rows.push({ ...row, attempts: JSON.parse(attempts ?? "[]"), answer: answer && JSON.parse(answer) });
    const last = results.at(-1);
    if (!last) break;
    after = last.seq;
  }
  const counted = await database.prepare("SELECT coalesce(sum(runs), 0) AS n FROM usage_daily").first<number>("n");
  return { rows, counted: counted ?? 0 };
}
