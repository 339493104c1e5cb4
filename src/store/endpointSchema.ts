import { sql } from "drizzle-orm";
import { index, integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import type { DisabledReason, WebhookEvent } from "../contract/endpoints.ts";

/** Secrets are sealed (`core/secretBox.ts`); an archived endpoint has none. The conventions are those of schema.ts. */
export const endpoints = sqliteTable(
  "endpoints",
  {
    id: text().primaryKey(),
    projectId: text("project_id").notNull(),
    url: text().notNull(),
    /** Where weir was reached when the address was saved. */
    ownHost: text("own_host").notNull(),
    description: text().notNull(),
    events: text({ mode: "json" }).$type<WebhookEvent[]>().notNull(),
    sealedSecret: text("sealed_secret"),
    sealedPrevious: text("sealed_previous"),
    previousUntil: integer("previous_until"),
    /** A copy of what the endpoint's object holds; null while it is enabled. */
    disabledReason: text("disabled_reason").$type<DisabledReason>(),
    disabledAt: integer("disabled_at"),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
    archivedAt: integer("archived_at"),
  },
  (table) => [
    index("endpoints_active").on(table.projectId, table.id).where(sql`archived_at IS NULL`),
    index("endpoints_archived").on(table.projectId, table.id).where(sql`archived_at IS NOT NULL`),
  ],
);
