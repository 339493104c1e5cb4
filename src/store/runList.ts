import { type SQL, sql } from "drizzle-orm";
import type { ListRunsInput } from "../contract/runs.ts";
import { cursorOf, pageOf, startOf } from "../core/cursor.ts";
import type { ListRuns } from "../core/runs.ts";
import type { Database } from "./db.ts";
import { asInteger, isLive, type RunRow, runColumns, runOf, seqAt } from "./runRow.ts";
import { matchOf, type RunFacts, runSearch } from "./runSearch.ts";
import { runs } from "./schema.ts";

/** Rows of `runs` from `seq` `from` up to but without `before`, newest first, at most `limit`. */
type Window = { from: number; before: number; limit: number };

/**
 * Pages of runs, newest first, at a cost of rows read that follows the page and not the table: settled runs come from
 * the search index, live ones (few) from their partial index, and a list by time alone from the project's index.
 */
export function listRuns(db: Database): ListRuns {
  return async (projectId, input) => {
    const window = windowOf(input);
    const facts = factsOf(projectId, input);
    const rows = await readWindow(db, { facts, text: input.text, window });
    const { items, nextCursor } = pageOf(rows, input.limit, (row) => cursorOf("runs", String(row.seq)));
    return { items: items.map(runOf), nextCursor };
  };
}

type Query = { facts: RunFacts; text: string | undefined; window: Window };

async function readWindow(db: Database, query: Query): Promise<RunRow[]> {
  const { facts, text, window } = query;
  const { projectId, ...filters } = facts;
  if (text === undefined && Object.values(filters).every((filter) => filter === undefined))
    return byTime(db, projectId, window);
  const onlyLive = facts.status === "queued" || facts.status === "running";
  const match = matchOf(facts, text);
  if (onlyLive) return text === undefined ? live(db, query) : [];
  if (facts.status !== undefined || text !== undefined) return settled(db, match, window);
  // One batch is one transaction: a run that settles meanwhile is in exactly one of the two.
  const [ended, running] = await db.batch([settled(db, match, window), live(db, query)]);
  return [...ended, ...running].sort((a, b) => b.seq - a.seq);
}

function byTime(db: Database, projectId: string, window: Window) {
  return db
    .select(runColumns)
    .from(runs)
    .where(sql`project_id = ${projectId} AND ${within(sql`seq`, window)}`)
    .orderBy(sql`seq DESC`)
    .limit(window.limit);
}

function settled(db: Database, match: string, window: Window) {
  return (
    db
      .select(runColumns)
      .from(runSearch)
      // CROSS JOIN keeps the order of the loops: the index leads, and reads no further than the page.
      .crossJoin(runs)
      .where(
        sql`run_search MATCH ${match} AND ${within(sql`run_search.rowid`, window)} AND runs.seq = run_search.rowid`,
      )
      .orderBy(sql`run_search.rowid DESC`)
      .limit(window.limit)
  );
}

function live(db: Database, { facts, window }: Query) {
  const conditions = [sql`project_id = ${facts.projectId}`, isLive, within(sql`seq`, window)];
  if (facts.status !== undefined) conditions.push(sql`status = ${facts.status}`);
  if (facts.source !== undefined) conditions.push(sql`source = ${facts.source}`);
  if (facts.template !== undefined) conditions.push(sql`template_name = ${facts.template}`);
  if (facts.version !== undefined) conditions.push(sql`template_version = ${facts.version}`);
  if (facts.model !== undefined) conditions.push(sql`model_asked = ${facts.model}`);
  if (facts.keyId !== undefined) conditions.push(sql`key_id = ${facts.keyId}`);
  for (const [key, value] of Object.entries(facts.metadata ?? {})) {
    // The pair's JSON drops nearly every other row at no cost; the second look is exact whatever the pairs contain.
    conditions.push(sql`instr(metadata, ${`${JSON.stringify(key)}:${JSON.stringify(value)}`})`);
    conditions.push(sql`EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ${key} AND value = ${value})`);
  }
  return db
    .select(runColumns)
    .from(runs)
    .where(sql.join(conditions, sql` AND `))
    .orderBy(sql`seq DESC`)
    .limit(window.limit);
}

function within(seq: SQL, window: Window): SQL {
  return sql`${seq} < ${asInteger(window.before)} AND ${seq} >= ${asInteger(window.from)}`;
}

function factsOf(projectId: string, input: ListRunsInput): RunFacts {
  const { status, source, template, version, model, keyId, metadata } = input;
  const pairs = metadata && Object.keys(metadata).length > 0 ? metadata : undefined;
  return { projectId, status, source, template, version, model, keyId, metadata: pairs };
}

function windowOf(input: ListRunsInput): Window {
  const before = input.to === undefined ? Number.MAX_SAFE_INTEGER : seqAt(millisecondAt(input.to));
  const last = startOf(input.cursor, "runs", /^-?\d{1,16}$/);
  return {
    from: input.from === undefined ? Number.MIN_SAFE_INTEGER : seqAt(millisecondAt(input.from)),
    before: last === undefined ? before : Math.min(before, Number(last)),
    // One more than the page tells whether another follows.
    limit: input.limit + 1,
  };
}

/** The first whole millisecond at or after a time; `Date` drops what is finer. */
function millisecondAt(time: string): number {
  const finer = /\.\d{3}\d*[1-9]/.test(time) ? 1 : 0;
  return Date.parse(time) + finer;
}
