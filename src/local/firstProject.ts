import { Scope } from "../contract/scopes.ts";
import { newId } from "../core/ids.ts";
import { keyDigest, keyHint, newKeySecret } from "../core/keyFormat.ts";

export type Value = string | number | null;
export type Statement = { sql: string; params: Value[] };

/** Makes the project unless one of that name is there. */
export function projectStatement(name: string, nowMs = Date.now()): Statement {
  return {
    sql: `INSERT INTO projects (id, name, keep_contents, retention_days, created_at)
SELECT ?, ?, 1, NULL, ? WHERE NOT EXISTS (SELECT 1 FROM projects WHERE name = ?)`,
    params: [newId("prj", nowMs), name, nowMs, name],
  };
}

/** A new key of the project of that name (the oldest, if several bear it): the key itself and what stores it. */
export async function newKey(
  projectName: string,
  kind: "secret" | "publishable",
  keyName: string,
): Promise<{ secret: string; statement: Statement }> {
  const secret = newKeySecret(kind);
  const nowMs = Date.now();
  const scopes = kind === "secret" ? Scope.options : (["completions:run"] satisfies Scope[]);
  const statement = {
    sql: `INSERT INTO keys (id, project_id, kind, name, digest, hint, scopes, origins, created_at)
SELECT ?, (SELECT id FROM projects WHERE name = ? ORDER BY id LIMIT 1), ?, ?, ?, ?, ?, '[]', ?`,
    params: [
      newId("key", nowMs),
      projectName,
      kind,
      keyName,
      await keyDigest(secret),
      keyHint(secret),
      JSON.stringify(scopes),
      nowMs,
    ],
  };
  return { secret, statement };
}

/** The statement as text, its values as SQL literals, for a tool that takes no parameters. Refuses what no literal can hold. */
export function inlined({ sql, params }: Statement): string {
  const values = [...params];
  return sql.replaceAll("?", () => {
    const value = values.shift();
    if (value === undefined) throw new Error("fewer values than placeholders");
    return literal(value);
  });
}

function literal(value: Value): string {
  if (value === null) return "NULL";
  if (typeof value === "string") {
    if (value.includes("\0")) throw new Error("a text with NUL has no SQL literal");
    return `'${value.replaceAll("'", "''")}'`;
  }
  if (!Number.isSafeInteger(value)) throw new Error(`${value} is not a whole number`);
  return String(value);
}
