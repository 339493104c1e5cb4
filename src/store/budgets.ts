import { and, eq, type SQL, sql } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import type { FindDayUsage } from "../core/budgets.ts";
import { dayOf } from "../core/runs.ts";
import type { Database } from "./db.ts";
import { dayOfRun } from "./runRow.ts";
import { budgetDaily } from "./usageSchema.ts";

/** What has been used of a quota on a day: as many rows read as there are currencies in it. */
export function findDayUsage(db: Database): FindDayUsage {
  return async ({ projectId, quotaId }, day) => {
    const { currency, tokens, costMicros } = budgetDaily;
    const rows = await db
      .select({ currency, tokens, costMicros })
      .from(budgetDaily)
      .where(and(eq(budgetDaily.projectId, projectId), eq(budgetDaily.day, day), eq(budgetDaily.quotaId, quotaId)));
    return {
      tokens: rows.reduce((sum, row) => sum + row.tokens, 0),
      costMicros: new Map(rows.map((row) => [row.currency, row.costMicros])),
    };
  };
}

/** The insert that counts the runs of a FROM clause against the quotas in their items' `quotaIds`. */
export function countBudgets(db: Database, settled: SQL) {
  return db
    .insert(budgetDaily)
    .select(
      // Every column, in the order of usageSchema.ts.
      sql`SELECT project_id, day, quota.value, currency, tokens, micros FROM (
          SELECT runs.project_id, ${dayOfRun} AS day, item -> 'quotaIds' AS quotas,
            coalesce(runs.cost_currency, '') AS currency,
            coalesce(runs.prompt_tokens, 0) + coalesce(runs.completion_tokens, 0) AS tokens,
            coalesce(runs.cost_micros, 0) AS micros
          ${settled}), json_each(quotas) AS quota WHERE true`,
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
