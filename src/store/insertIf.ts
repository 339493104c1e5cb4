import { getTableColumns, type SQL, sql } from "drizzle-orm";
import type { SQLiteTable } from "drizzle-orm/sqlite-core";

/** What inserts `row` if the condition holds in that moment, for `insert(table).select()`; what it leaves out is NULL. */
export function rowIf<Table extends SQLiteTable>(table: Table, row: Table["$inferInsert"], condition: SQL): SQL {
  const given = row as Record<string, unknown>;
  const values = Object.entries(getTableColumns(table)).map(([key, column]) => sql.param(given[key] ?? null, column));
  return sql`SELECT ${sql.join(values, sql`, `)} WHERE ${condition}`;
}
