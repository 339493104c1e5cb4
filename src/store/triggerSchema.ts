import { sql } from "drizzle-orm";
import { index, integer, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";
import type { Callback } from "../contract/endpoints.ts";
import type { EventError } from "../contract/events.ts";
import type { EventIdPlace, HmacSettings, VariableMapping } from "../contract/triggers.ts";

/** Addresses for webhooks. The conventions are those of schema.ts; secrets are sealed (`core/secretBox.ts`). */
export const triggers = sqliteTable(
  "triggers",
  {
    id: text().primaryKey(),
    projectId: text("project_id").notNull(),
    name: text().notNull(),
    scheme: text({ enum: ["standard", "github", "stripe", "slack", "openai", "hmac", "bearer"] }).notNull(),
    hmac: text({ mode: "json" }).$type<HmacSettings>(),
    sealedSecret: text("sealed_secret"),
    secretHint: text("secret_hint").notNull(),
    /** The secret before, taken until then. */
    sealedPrevious: text("sealed_previous"),
    previousEndsAt: integer("previous_ends_at"),
    template: text().notNull(),
    /** A version's number or a label, as JSON; null: `production`. */
    version: text({ mode: "json" }).$type<number | string>(),
    variables: text({ mode: "json" }).$type<Record<string, VariableMapping>>().notNull(),
    /** What goes into the runs' metadata. */
    metadata: text({ mode: "json" }).$type<Record<string, VariableMapping>>().notNull().default({}),
    filter: text(),
    priority: integer().notNull(),
    model: text(),
    params: text({ mode: "json" }).$type<Record<string, unknown>>().notNull(),
    /** Whom to tell of a run's end. */
    callback: text({ mode: "json" }).$type<Callback>(),
    respond: text({ enum: ["async", "sync"] }).notNull(),
    requestsPerMinute: integer("requests_per_minute"),
    eventId: text("event_id", { mode: "json" }).$type<EventIdPlace>(),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
    archivedAt: integer("archived_at"),
  },
  (table) => [
    index("triggers_active").on(table.projectId, table.id).where(sql`archived_at IS NULL`),
    index("triggers_archived").on(table.projectId, table.id).where(sql`archived_at IS NOT NULL`),
  ],
);

/**
 * What was received. An event is known again by the id that its sender gave it and, where that id is not signed, by its
 * body; each is unique within its trigger, for as long as the row is there.
 */
export const events = sqliteTable(
  "events",
  {
    id: text().primaryKey(),
    projectId: text("project_id").notNull(),
    triggerId: text("trigger_id").notNull(),
    receivedAt: integer("received_at").notNull(),
    status: text({ enum: ["accepted", "ignored", "failed"] }).notNull(),
    runId: text("run_id"),
    senderId: text("sender_id"),
    /** SHA-256 of the body, hex; null where the sender's id is signed. */
    bodyDigest: text("body_digest"),
    error: text({ mode: "json" }).$type<EventError>(),
    contentType: text("content_type"),
    headers: text({ mode: "json" }).$type<Record<string, string>>(),
    /** As it was received; null once it is not kept any more. */
    body: text(),
    /** When headers and body are dropped; null: never, or they are. */
    expiresAt: integer("expires_at"),
  },
  (table) => [
    uniqueIndex("events_sender").on(table.triggerId, table.senderId).where(sql`sender_id IS NOT NULL`),
    uniqueIndex("events_body").on(table.triggerId, table.bodyDigest).where(sql`body_digest IS NOT NULL`),
    index("events_trigger").on(table.triggerId, table.id),
    // Most events are accepted: those that are not are what is sought.
    index("events_status").on(table.triggerId, table.status, table.id).where(sql`status <> 'accepted'`),
    index("events_expires").on(table.expiresAt).where(sql`expires_at IS NOT NULL`),
  ],
);
