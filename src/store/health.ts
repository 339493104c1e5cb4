import { sql } from "drizzle-orm";
import type { Database } from "./db.ts";

/** Whether all migrations have been applied: their newest table stands for them. Also false when D1 does not answer. */
export async function isMigrated(db: Database): Promise<boolean> {
  try {
    await db.run(sql`SELECT rowid FROM run_search LIMIT 1`);
    return true;
  } catch {
    return false;
  }
}
