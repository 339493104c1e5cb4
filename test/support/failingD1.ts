import type { D1Database, D1PreparedStatement } from "@cloudflare/workers-types";

export type D1Fault = {
  /** Which calls fail, counted from 1 (a batch is one call). */
  fails: (call: number) => boolean;
  /** Whether a failing call has taken effect when its reply is lost. */
  when: "before" | "after commit";
};

/** A D1 binding that fails as told. */
export type FailingD1 = D1Database & {
  /** Calls so far, and how many of them failed. */
  readonly counted: { calls: number; failed: number };
};

/** Wraps `binding` so that the calls `fails` names end in D1's error, before they take effect or after. */
export function failingD1(binding: D1Database, { fails, when }: D1Fault): FailingD1 {
  const counted = { calls: 0, failed: 0 };
  const inner = new WeakMap<D1PreparedStatement, D1PreparedStatement>();

  async function call<T>(work: () => Promise<T>): Promise<T> {
    const failing = fails(++counted.calls);
    if (failing) counted.failed++;
    if (failing && when === "before") throw new Error("D1_ERROR: D1 DB is overloaded. Requests queued for too long.");
    const result = await work();
    if (failing) throw new Error("D1_ERROR: Network connection lost.");
    return result;
  }

  function wrap(statement: D1PreparedStatement): D1PreparedStatement {
    const wrapped = {
      bind: (...values: unknown[]) => wrap(statement.bind(...values)),
      all: () => call(() => statement.all()),
      run: () => call(() => statement.run()),
      first: (column: string) => call(() => (column === undefined ? statement.first() : statement.first(column))),
      raw: (options: { columnNames: true }) => call(() => statement.raw(options)),
    } as unknown as D1PreparedStatement;
    inner.set(wrapped, statement);
    return wrapped;
  }

  return {
    counted,
    prepare: (sql: string) => wrap(binding.prepare(sql)),
    batch: (batch: D1PreparedStatement[]) => call(() => binding.batch(batch.map((part) => inner.get(part) ?? part))),
    exec: (sql: string) => call(() => binding.exec(sql)),
  } as unknown as FailingD1;
}
