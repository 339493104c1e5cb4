import { sqliteTable, text } from "drizzle-orm/sqlite-core";

/** How far a walk of the sweeper has come that is too long for one sweep; without a row it begins anew. */
export const sweeps = sqliteTable("sweeps", {
  name: text().primaryKey(),
  cursor: text().notNull(),
});
