import type { D1Database } from "@cloudflare/workers-types";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";

export type Database = DrizzleD1Database & { $client: D1Database };

const databases = new WeakMap<D1Database, Database>();

/**
 * Drizzle over one D1 binding, made once for it. Without the schema: that is only for relational queries, which weir
 * does not use, and reading it takes longer than a request's own work.
 */
export function database(binding: D1Database): Database {
  const known = databases.get(binding);
  if (known) return known;
  const made: Database = drizzle(binding);
  databases.set(binding, made);
  return made;
}
