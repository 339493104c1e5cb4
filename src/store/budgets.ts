import { and, eq, inArray, type SQL, sql } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import type { FindDayUsage } from "../core/budgets.ts";
import type { RunOutcome, RunStart } from "../core/runRecord.ts";
import { dayOf } from "../core/runs.ts";
import type { Database } from "./db.ts";
import { budgetDaily } from "./usageSchema.ts";

/** What has been used of each quota on a day: as many rows read as there are currencies in it. */
export function findDayUsage(db: Database): FindDayUsage {
  return async (projectId, day, quotaIds) => {
    const { quotaId, currency, tokens, costMicros } = budgetDaily;
    const rows = await db
      .select({ quotaId, currency, tokens, costMicros })
      .from(budgetDaily)
      .where(and(eq(budgetDaily.projectId, projectId), eq(budgetDaily.day, day), inArray(quotaId, [...quotaIds])));
    return quotaIds.map((id) => {
      const own = rows.filter((row) => row.quotaId === id);
      return {
        tokens: own.reduce((sum, row) => sum + row.tokens, 0),
        costMicros: new Map(own.map((row) => [row.currency, row.costMicros])),
      };
    });
  };
}

/** The insert that counts a run against the quotas named in its start if `condition` finds it in `runs`. */
export function countBudgets(db: Database, run: { start: RunStart; outcome: RunOutcome; condition: SQL }) {
  const { start, outcome, condition } = run;
  const { usage, cost } = outcome;
  return db
    .insert(budgetDaily)
    .select(
      // Every column, in the order of usageSchema.ts.
      sql`SELECT ${start.projectId}, ${dayOf(start.createdAtMs)}, quota.value, ${cost?.currency ?? ""},
        ${(usage?.promptTokens ?? 0) + (usage?.completionTokens ?? 0)}, ${cost?.micros ?? 0}
        FROM runs, json_each(${JSON.stringify(start.quotaIds ?? [])}) AS quota WHERE ${condition}`,
    )
    .onConflictDoUpdate({
      target: primaryKey,
      set: {
        tokens: sql`${budgetDaily.tokens} + excluded.tokens`,
        costMicros: sql`${budgetDaily.costMicros} + excluded.cost_micros`,
      },
    });
}

/** Sets what a project has used on the UTC day of `nowMs` from its daily usage: for a budget that begins within a day. */
export function countDay(db: Database, projectId: SQL, nowMs: number) {
  return db
    .insert(budgetDaily)
    .select(
      sql`SELECT project_id, day, '', currency, sum(prompt_tokens + completion_tokens), sum(cost_micros)
        FROM usage_daily WHERE project_id = ${projectId} AND day = ${dayOf(nowMs)} GROUP BY project_id, day, currency`,
    )
    .onConflictDoUpdate({
      target: primaryKey,
      set: { tokens: sql`excluded.tokens`, costMicros: sql`excluded.cost_micros` },
    });
}

const primaryKey = getTableConfig(budgetDaily).primaryKeys[0]?.columns ?? [];
