import type { D1Database } from "@cloudflare/workers-types";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import * as tables from "./schema.ts";
import * as usageTables from "./usageSchema.ts";

const schema = { ...tables, ...usageTables };

export type Database = DrizzleD1Database<typeof schema> & { $client: D1Database };

/** Drizzle over one D1 binding; cheap, made per request. */
export function database(binding: D1Database): Database {
  return drizzle(binding, { schema });
}
