import type { D1Database, D1PreparedStatement, D1Result } from "@cloudflare/workers-types";

/** A statement as D1 saw it, and what it cost. */
export type MeteredStatement = { sql: string; params: unknown[]; rowsRead: number; rowsWritten: number };

/** A D1 binding that records every statement that runs through it. */
export type MeteredD1 = D1Database & { readonly statements: MeteredStatement[] };

/** The sums of `statements[from…]`. */
export function costOf(metered: MeteredD1, from = 0): { rowsRead: number; rowsWritten: number } {
  const statements = metered.statements.slice(from);
  return {
    rowsRead: statements.reduce((sum, statement) => sum + statement.rowsRead, 0),
    rowsWritten: statements.reduce((sum, statement) => sum + statement.rowsWritten, 0),
  };
}

/** What SQLite would do for a recorded statement, one line per step. */
export async function planOf(binding: D1Database, { sql, params }: MeteredStatement): Promise<string[]> {
  const { results } = await binding
    .prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .bind(...params)
    .all<{ detail: string }>();
  return results.map((row) => row.detail);
}

/** Wraps `binding` so that tests can assert rows read and written, statement by statement. */
export function meteredD1(binding: D1Database): MeteredD1 {
  const statements: MeteredStatement[] = [];
  const inner = new WeakMap<D1PreparedStatement, { statement: D1PreparedStatement; sql: string; params: unknown[] }>();

  function record<T>(sql: string, params: unknown[], result: D1Result<T>): D1Result<T> {
    statements.push({ sql, params, rowsRead: result.meta.rows_read, rowsWritten: result.meta.rows_written });
    return result;
  }

  function wrap(statement: D1PreparedStatement, sql: string, params: unknown[]): D1PreparedStatement {
    const all = async <T>() => record(sql, params, await statement.all<T>());
    const wrapped = {
      bind: (...values: unknown[]) => wrap(statement.bind(...values), sql, values),
      all,
      run: async <T>() => record(sql, params, await statement.run<T>()),
      first: async (column?: string) => {
        const row = (await all<Record<string, unknown>>()).results[0];
        return column === undefined ? (row ?? null) : (row?.[column] ?? null);
      },
      // D1 keeps the meta of `raw` to itself. Reading twice is harmless, writing twice is not.
      raw: async () => {
        const { results } = await all<Record<string, unknown>>();
        return /^\s*select/i.test(sql) ? statement.raw() : results.map((row) => Object.values(row));
      },
    } as D1PreparedStatement;
    inner.set(wrapped, { statement, sql, params });
    return wrapped;
  }

  return {
    statements,
    prepare: (sql: string) => wrap(binding.prepare(sql), sql, []),
    batch: async <T>(batch: D1PreparedStatement[]) => {
      const parts = batch.map((wrapped) => {
        const part = inner.get(wrapped);
        if (!part) throw new Error("a statement of another binding");
        return part;
      });
      const results = await binding.batch<T>(parts.map((part) => part.statement));
      for (const [index, part] of parts.entries()) {
        const result = results[index];
        if (result) record(part.sql, part.params, result);
      }
      return results;
    },
    exec: (sql: string) => binding.exec(sql),
    withSession: () => {
      throw new Error("sessions are not metered");
    },
    dump: () => {
      throw new Error("not metered");
    },
  } as MeteredD1;
}
