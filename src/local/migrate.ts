import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { projectRoot } from "./project.ts";
import type { LocalDatabase } from "./runtime.ts";

/** The table of `wrangler d1 migrations apply`, so that both may be used on the same database. */
const migrationsTable = `CREATE TABLE IF NOT EXISTS "d1_migrations"(
		id         INTEGER PRIMARY KEY AUTOINCREMENT,
		name       TEXT UNIQUE,
		applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)`;

/**
 * Applies the migrations the database has not seen, in the order of their names, each in one transaction with its
 * record. Returns the names applied.
 */
export async function migrate(database: LocalDatabase, folder = join(projectRoot, "migrations")): Promise<string[]> {
  await database.prepare(migrationsTable).run();
  const { results } = await database.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  const applied = new Set(results.map(({ name }) => name));
  const files = (await readdir(folder)).filter((name) => name.endsWith(".sql") && !applied.has(name)).sort();
  for (const name of files) {
    const statements = statementsOf(await readFile(join(folder, name), "utf8"));
    await database.batch([
      ...statements.map((statement) => database.prepare(statement)),
      database.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name),
    ]);
  }
  return files;
}

/** Drizzle marks where one statement ends; a hand-written migration holds one statement or the same marks. */
export function statementsOf(sql: string): string[] {
  return sql
    .split("--> statement-breakpoint")
    .map((statement) => statement.trim())
    .filter((statement) => statement !== "");
}
