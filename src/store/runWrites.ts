import { getTableColumns, sql } from "drizzle-orm";
import type { RunOutcome, RunStart } from "../core/runRecord.ts";
import { countBudgets } from "./budgets.ts";
import type { Database } from "./db.ts";
import { isLive, newSeq } from "./runRow.ts";
import { runSearch } from "./runSearch.ts";
import { countUsage } from "./runStats.ts";
import { runContents, runs } from "./schema.ts";

type Statements = Record<
  "open" | "submit" | "receive" | "settle" | "contents" | "longContents" | "search" | "usage" | "budgets",
  string
>;

let known: Statements | null = null;

/**
 * The statements that write runs, as text: the same for every run, so that Drizzle builds them once per isolate. All
 * but `longContents` take any number of runs, as one JSON array: each statement costs D1 as much as several rows do.
 *
 * `settle` decides who settles a run: it leaves the mark of its batch, `settled_by`, where the run was live or not
 * there yet, and returns the ids of these. What follows it in the batch takes effect only for runs that bear the mark.
 */
export function runStatements(db: Database): Statements {
  known ??= {
    open: textOf(insertRuns(db).onConflictDoNothing({ target: runs.id })),
    submit: textOf(insertRuns(db, keyIsFree).onConflictDoNothing({ target: runs.id })),
    receive: textOf(insertRuns(db, eventIsOwn).onConflictDoNothing({ target: runs.id })),
    settle: textOf(
      insertRuns(db)
        .onConflictDoUpdate({
          target: runs.id,
          set: Object.fromEntries(outcomeKeys.map((key) => [key, sql`excluded.${sql.identifier(runs[key].name)}`])),
          setWhere: isLive,
        })
        .returning({ id: runs.id }),
    ),
    contents: textOf(
      db.insert(runContents).select(sql`
        SELECT runs.seq, runs.project_id, item ->> 'request', item ->> 'answer', item ->> 'cut', ${expiresAt}
        ${settledNow}`),
    ),
    longContents: textOf(
      db.insert(runContents).select(sql`
        SELECT seq, project_id, ${sql.placeholder("request")}, ${sql.placeholder("answer")}, ${sql.placeholder("cut")},
          ${expiresAt} FROM runs WHERE id = ${sql.placeholder("id")} AND settled_by = ${sql.placeholder("mark")}`),
    ),
    search: textOf(db.insert(runSearch).select(sql`SELECT runs.seq, item ->> 'facets', item ->> 'text' ${settledNow}`)),
    usage: textOf(countUsage(db, settledNow)),
    budgets: textOf(countBudgets(db, settledNow)),
  };
  return known;
}

/** The runs of a JSON array of `{id, mark, …}` that bear their mark. */
const settledNow = sql`FROM (SELECT value AS item FROM json_each(${sql.placeholder("items")}))
  JOIN runs ON runs.id = item ->> 'id' AND runs.settled_by = item ->> 'mark' WHERE true`;

/** When a run's contents are no longer kept, epoch ms; null where they are kept forever. */
const expiresAt = sql`(SELECT runs.created_at + coalesce(runs.total_ms, 0) + retention_days * 86400000
  FROM projects WHERE projects.id = runs.project_id)`;

/** No job of the project has the idempotency key; null is nobody's. */
const keyIsFree = sql`NOT EXISTS (
  SELECT 1 FROM jobs WHERE project_id = value ->> 'projectId' AND idempotency_key = ${sql.placeholder("key")})`;

/** The event is on record with this run, and not known as another one with a run of its own. */
const eventIsOwn = sql`EXISTS (
  SELECT 1 FROM events WHERE events.id = ${sql.placeholder("event")} AND events.run_id = value ->> 'id')`;

/** Inserts a JSON array of objects that bear the keys of `runs`, but for `seq`, which is given here. */
function insertRuns(db: Database, condition = sql`true`) {
  const values = Object.keys(getTableColumns(runs)).map((key) =>
    key === "seq" ? newSeq : sql`value ->> ${sql.raw(`'${key}'`)}`,
  );
  const rows = sql`json_each(${sql.placeholder("rows")})`;
  return db.insert(runs).select(sql`SELECT ${sql.join(values, sql`, `)} FROM ${rows} WHERE ${condition}`);
}

function textOf(query: { toSQL: () => { sql: string } }): string {
  return query.toSQL().sql;
}

/** What is known of a run when it begins, by the keys of `runs`; columns that hold JSON as its text. */
export function startValues(start: RunStart) {
  const { template } = start;
  return {
    id: start.id,
    projectId: start.projectId,
    source: start.source,
    simulated: start.simulated,
    stream: start.stream,
    createdAt: start.createdAtMs,
    keyId: start.keyId,
    templateId: template?.id,
    templateName: template?.name,
    templateVersion: template?.version,
    versionId: template?.versionId,
    label: template?.label,
    partials: template && JSON.stringify(template.partials),
    modelAsked: start.modelAsked,
    metadata: JSON.stringify(start.metadata),
    retryOf: start.retryOf,
    batchId: start.batchId,
    malformed: false,
    usageSource: "unknown",
  };
}

/** Everything else that a run's end tells; scores are given by people. */
const outcomeKeys = [
  "status",
  "errorCode",
  "errorMessage",
  "finishReason",
  "malformed",
  "attempts",
  "modelAnswered",
  "upstream",
  "promptTokens",
  "completionTokens",
  "reasoningTokens",
  "usageSource",
  "costMicros",
  "costCurrency",
  "queueMs",
  "headersMs",
  "firstTokenMs",
  "totalMs",
  "outputValid",
  "settledBy",
] as const;

export function outcomeValues(outcome: RunOutcome, mark: number): Record<(typeof outcomeKeys)[number], unknown> {
  const { usage, cost, attempts, ...columns } = outcome;
  return {
    ...columns,
    attempts: JSON.stringify(attempts),
    promptTokens: usage?.promptTokens,
    completionTokens: usage?.completionTokens,
    reasoningTokens: usage?.reasoningTokens,
    costMicros: cost?.micros,
    costCurrency: cost?.currency,
    settledBy: mark,
  };
}
