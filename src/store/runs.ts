import { and, eq, type SQL, sql } from "drizzle-orm";
import { limits } from "../contract/limits.ts";
import type { OpenRun, RunOutcome, RunStart, SettleRun } from "../core/runRecord.ts";
import type { DeleteRun, FindRun, RateRun } from "../core/runs.ts";
import type { Database } from "./db.ts";
import { forgetPayload } from "./events.ts";
import { forgetAnswer } from "./idempotency.ts";
import { jobs } from "./jobSchema.ts";
import { jsonArrays } from "./jsonArrays.ts";
import { type PackedContents, packContents, unpackContents } from "./runContents.ts";
import { isLive, runColumns, runOf } from "./runRow.ts";
import { factTokens, indexedText, runSearch } from "./runSearch.ts";
import { outcomeValues, runStatements, startValues } from "./runWrites.ts";
import { runContents, runs } from "./schema.ts";
import { grouped } from "./writeGroup.ts";

/** Writes the row of a run that begins; a run that is there already, live or settled, stays as it is. */
export function openRun(db: Database): OpenRun {
  const write = groupOf(opening, db, () =>
    grouped<string, void>({
      weigh: (row) => row.length,
      write: async (rows) => {
        await db.$client.prepare(runStatements(db).open).bind(jsonArray(rows)).run();
        return rows.map(() => undefined);
      },
    }),
  );
  return (start, status) => write(JSON.stringify({ ...startValues(start), status }));
}

type Settling = { start: RunStart; outcome: RunOutcome; contents: PackedContents | null; search: string };

/**
 * Writes a run's end in one batch, with those of other runs that end meanwhile. Its statements take effect only where
 * the run is live or not there yet, so that of several calls (a retry after a lost reply included) one has an effect;
 * that one returns true.
 */
export function settleRun(db: Database): SettleRun {
  const write = groupOf(settling, db, () =>
    grouped<Settling, boolean>({ weigh: bytesOf, write: (runs) => settleRuns(db, runs) }),
  );
  return (start, outcome, contents) => write(settlingOf(start, outcome, contents));
}

/**
 * The same, without waiting for other runs: a Durable Object must not share a write, as the code of one that waits for
 * another's would go on in that other's place, where its own storage is out of reach.
 */
export function settleRunAlone(db: Database): SettleRun {
  return async (start, outcome, contents) => {
    const [settled = false] = await settleRuns(db, [settlingOf(start, outcome, contents)]);
    return settled;
  };
}

function settlingOf(...[start, outcome, contents]: Parameters<SettleRun>): Settling {
  const facets = factTokens({
    projectId: start.projectId,
    status: outcome.status,
    source: start.source,
    ...(start.template && { template: start.template.name, version: start.template.version }),
    model: start.modelAsked,
    keyId: start.keyId,
    metadata: start.metadata,
  });
  const search = JSON.stringify({ facets: facets.join(" "), text: indexedText(contents) });
  return { start, outcome, contents: contents && packContents(contents), search };
}

const opening = new WeakMap<Database, (row: string) => Promise<void>>();
const settling = new WeakMap<Database, (run: Settling) => Promise<boolean>>();

/** What the isolate's requests share of one database. */
function groupOf<Group>(known: WeakMap<Database, Group>, db: Database, make: () => Group): Group {
  const found = known.get(db);
  if (found) return found;
  const made = make();
  known.set(db, made);
  return made;
}

async function settleRuns(db: Database, group: readonly Settling[]): Promise<boolean[]> {
  // Of two ends of one run the first is tried.
  const settled = [...new Map(group.toReversed().map((run) => [run.start.id, run])).values()];
  const statements = runStatements(db);
  const mark = Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);
  const statement = (text: string, ...values: unknown[]) => db.$client.prepare(text).bind(...values);
  const rows = settled.map(({ start, outcome }) =>
    JSON.stringify({ ...startValues(start), ...outcomeValues(outcome, mark) }),
  );
  const items = jsonArray(settled.map(({ start: { id, quotaIds } }) => JSON.stringify({ id, mark, quotaIds })));
  const documents = settled.map(({ start, search }) => `{"id":"${start.id}","mark":${mark},${search.slice(1)}`);
  const contents = settled.flatMap(({ start: { id }, contents }) => (contents ? { id, ...contents } : []));
  const [short, long] = [contents.filter((item) => !isLong(item)), contents.filter(isLong)];
  const [result] = await db.$client.batch<{ id: string }>([
    statement(statements.settle, jsonArray(rows)),
    ...jsonArrays(short.map((item) => contentsJson(item, mark))).map((texts) => statement(statements.contents, texts)),
    ...long.map(({ id, request, answer, cut }) =>
      statement(statements.longContents, request, answer, cut ? 1 : 0, id, mark),
    ),
    statement(statements.search, jsonArray(documents)),
    statement(statements.usage, items),
    ...(settled.some(({ start }) => start.quotaIds?.length) ? [statement(statements.budgets, items)] : []),
  ]);
  const ids = new Set(result?.results.map(({ id }) => id));
  return group.map((run) => settled.includes(run) && ids.has(run.start.id));
}

/** What D1 would have to read through as a part of one text, which may be longer than it takes. */
function isLong({ request, answer }: PackedContents): boolean {
  return request.length + answer.length > limits.longAnswerBytes;
}

/** Request and answer as texts: SQLite reads no JSON that is nested 1,000 deep, and an output may be. */
function contentsJson({ cut, ...item }: PackedContents & { id: string }, mark: number): string {
  return JSON.stringify({ ...item, mark, cut: cut ? 1 : 0 });
}

const jsonArray = (items: readonly string[]) => `[${items.join()}]`;

function bytesOf({ contents, search }: Settling): number {
  return search.length + (contents ? contents.request.length + contents.answer.length : 0);
}

/** A run with its contents; null when the project has none of that id. */
export function findRun(db: Database): FindRun {
  return async (projectId, id) => {
    const { request, answer, cut } = runContents;
    const row = await db
      .select({ run: runColumns, contents: { request, answer, cut } })
      .from(runs)
      .leftJoin(runContents, and(eq(runContents.seq, runs.seq), eq(runContents.projectId, runs.projectId)))
      .where(owned(projectId, id))
      .get();
    return row ? { run: runOf(row.run), contents: row.contents && unpackContents(row.contents) } : null;
  };
}

/** The model that a run asked for; null where there is no such run. */
export function findModelAsked(db: Database) {
  return async (projectId: string, id: string): Promise<string | null> => {
    const row = await db.select({ model: runs.modelAsked }).from(runs).where(owned(projectId, id)).get();
    return row?.model ?? null;
  };
}

/** Replaces score and comment of a run, live or settled. */
export function rateRun(db: Database): RateRun {
  return async (projectId, id, rating) => {
    const row = await db
      .update(runs)
      .set({ score: rating.score, scoreComment: rating.comment })
      .where(owned(projectId, id))
      .returning(runColumns)
      .get();
    return row ? runOf(row) : null;
  };
}

/** Removes a settled run, its contents, its search document, what repeats it, the answer kept for a replay and the payload it came from in one batch. */
export function deleteRun(db: Database): DeleteRun {
  return async (projectId, id) => {
    const settled = sql`${owned(projectId, id)} AND NOT (${isLive})`;
    const seq = sql`(SELECT seq FROM runs WHERE ${settled})`;
    const [found] = await db.batch([
      db
        .select({ live: sql<number>`${isLive}` })
        .from(runs)
        .where(owned(projectId, id)),
      db.delete(runSearch).where(sql`rowid = ${seq}`),
      db.delete(runContents).where(sql`seq = ${seq} AND project_id = ${projectId}`),
      forgetPayload(db, { projectId, id, run: settled }),
      forgetAnswer(db, { projectId, id, condition: sql`${seq} IS NOT NULL` }),
      db.delete(jobs).where(sql`seq = ${seq} AND project_id = ${projectId}`),
      db.delete(runs).where(settled),
    ]);
    if (!found[0]) return "missing";
    return found[0].live ? "live" : "deleted";
  };
}

function owned(projectId: string, id: string): SQL | undefined {
  return and(eq(runs.id, id), eq(runs.projectId, projectId));
}
