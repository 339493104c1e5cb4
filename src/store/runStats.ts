import { and, between, eq, type SQL, sql } from "drizzle-orm";
import { getTableConfig, type SQLiteColumn } from "drizzle-orm/sqlite-core";
import type { RunStatsRow } from "../contract/runs.ts";
import type { RunOutcome, RunStart } from "../core/runRecord.ts";
import { dayOf, type StatsQuery, type SumUsage } from "../core/runs.ts";
import type { Database } from "./db.ts";
import { usageDaily } from "./usageSchema.ts";

/**
 * The insert that counts a run into its day if `condition` finds it in `runs`. A run belongs to the UTC day of its
 * creation and to the model that was asked for.
 */
export function countUsage(db: Database, run: { start: RunStart; outcome: RunOutcome; condition: SQL }) {
  const { start, outcome, condition } = run;
  const { usage, cost, firstTokenMs } = outcome;
  const is = (status: RunOutcome["status"]) => (outcome.status === status ? 1 : 0);
  return db
    .insert(usageDaily)
    .select(
      // Every column, in the order of usageSchema.ts.
      sql`SELECT ${start.projectId}, ${dayOf(start.createdAtMs)},
        ${start.template?.name ?? ""}, ${start.template?.version ?? 0},
        ${start.modelAsked}, ${start.keyId}, ${cost?.currency ?? ""},
        1, ${is("succeeded")}, ${is("failed")}, ${is("cancelled")}, ${is("interrupted")},
        ${usage?.promptTokens ?? 0}, ${usage?.completionTokens ?? 0}, ${usage?.reasoningTokens ?? 0},
        ${cost?.micros ?? 0}, ${cost ? 0 : 1}, ${firstTokenMs ?? 0}, ${firstTokenMs === null ? 0 : 1},
        ${outcome.totalMs}, 1
        FROM runs WHERE ${condition}`,
    )
    .onConflictDoUpdate({
      target: getTableConfig(usageDaily).primaryKeys[0]?.columns ?? [],
      set: Object.fromEntries(counters.map((name) => [name, added(usageDaily[name])])),
    });
}

function added(counter: SQLiteColumn): SQL {
  return sql`${counter} + excluded.${sql.identifier(counter.name)}`;
}

const counters = [
  "runs",
  "succeeded",
  "failed",
  "cancelled",
  "interrupted",
  "promptTokens",
  "completionTokens",
  "reasoningTokens",
  "costMicros",
  "costUnknown",
  "firstTokenMsSum",
  "firstTokenCount",
  "totalMsSum",
  "totalCount",
] as const;
type Counter = (typeof counters)[number];
type Sums = Record<Counter, number> & { label: string; currency: string };

const labels: Record<StatsQuery["groupBy"], SQL> = {
  day: sql`day`,
  template: sql`template_name`,
  version: sql`CASE template_name WHEN '' THEN '' ELSE template_name || '@' || template_version END`,
  model: sql`model`,
  key: sql`key_id`,
};

const summed = Object.fromEntries(
  counters.map((name) => [name, sql<number>`sum(${usageDaily[name]})`.as(name)]),
) as Record<Counter, SQL.Aliased<number>>;

/** Sums of the daily aggregates: days in order, other groups by most runs. */
export function sumUsage(db: Database): SumUsage {
  return async (projectId, query) => {
    const { from, to, template, model, keyId } = query;
    const sums = await db
      .select({ label: sql<string>`${labels[query.groupBy]}`.as("label"), currency: usageDaily.currency, ...summed })
      .from(usageDaily)
      .where(
        and(
          eq(usageDaily.projectId, projectId),
          between(usageDaily.day, from, to),
          template === undefined ? undefined : eq(usageDaily.templateName, template),
          model === undefined ? undefined : eq(usageDaily.model, model),
          keyId === undefined ? undefined : eq(usageDaily.keyId, keyId),
        ),
      )
      .groupBy(sql`label`, usageDaily.currency)
      .orderBy(sql`label`, usageDaily.currency);
    const groups = Map.groupBy(sums, (row) => row.label);
    const rows = Array.from(groups, ([group, parts]) => statsRow(group, parts));
    return query.groupBy === "day" ? rows : rows.toSorted((a, b) => b.runs - a.runs);
  };
}

/** One group: its parts differ in currency only, none standing for runs without a known cost. */
function statsRow(group: string, parts: Sums[]): RunStatsRow {
  const sum = (name: Counter) => parts.reduce((total, part) => total + part[name], 0);
  return {
    group,
    runs: sum("runs"),
    succeeded: sum("succeeded"),
    failed: sum("failed"),
    cancelled: sum("cancelled"),
    interrupted: sum("interrupted"),
    promptTokens: sum("promptTokens"),
    completionTokens: sum("completionTokens"),
    reasoningTokens: sum("reasoningTokens"),
    costs: parts
      .filter((part) => part.currency !== "")
      .map((part) => ({ micros: part.costMicros, currency: part.currency })),
    costUnknown: sum("costUnknown"),
    meanFirstTokenMs: mean(sum("firstTokenMsSum"), sum("firstTokenCount")),
    meanTotalMs: mean(sum("totalMsSum"), sum("totalCount")),
  };
}

function mean(sum: number, count: number): number | null {
  return count === 0 ? null : sum / count;
}
