export type Statement = { sql: string; params: readonly unknown[] };

/** The statement as text, its values as SQL literals, for a tool that takes no parameters. Refuses what no literal can hold. */
export function inlined({ sql, params }: Statement): string {
  const values = params.values();
  return sql.replaceAll("?", () => {
    const { done, value } = values.next();
    if (done) throw new Error("fewer values than placeholders");
    return literal(value);
  });
}

function literal(value: unknown): string {
  if (value === null) return "NULL";
  if (typeof value === "string") {
    if (value.includes("\0")) throw new Error("a text with NUL has no SQL literal");
    return `'${value.replaceAll("'", "''")}'`;
  }
  if (!Number.isSafeInteger(value)) throw new Error(`${value} is not a whole number`);
  return String(value);
}
