import { and, between, eq, type SQL, sql } from "drizzle-orm";
import { getTableConfig, type SQLiteColumn } from "drizzle-orm/sqlite-core";
import type { RunStatsRow, SettledStatus } from "../contract/runs.ts";
import type { StatsQuery, SumUsage } from "../core/runs.ts";
import type { Database } from "./db.ts";
import { dayOfRun } from "./runRow.ts";
import { usageDaily } from "./usageSchema.ts";

/**
 * The insert that counts the runs of a FROM clause, each into its day. A run belongs to the UTC day of its creation and
 * to the model that was asked for.
 */
export function countUsage(db: Database, settled: SQL) {
  const is = (status: SettledStatus) => sql`runs.status = ${sql.raw(`'${status}'`)}`;
  return db
    .insert(usageDaily)
    .select(
      // Every column, in the order of usageSchema.ts.
      sql`SELECT runs.project_id, ${dayOfRun},
        coalesce(runs.template_name, ''), coalesce(runs.template_version, 0),
        runs.model_asked, runs.key_id, coalesce(runs.cost_currency, ''),
        1, ${is("succeeded")}, ${is("failed")}, ${is("cancelled")}, ${is("interrupted")},
        coalesce(runs.prompt_tokens, 0), coalesce(runs.completion_tokens, 0), coalesce(runs.reasoning_tokens, 0),
        coalesce(runs.cost_micros, 0), runs.cost_micros IS NULL,
        coalesce(runs.first_token_ms, 0), runs.first_token_ms IS NOT NULL, coalesce(runs.total_ms, 0), runs.total_ms IS NOT NULL
        ${settled}`,
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
