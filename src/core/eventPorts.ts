import type { EventError, EventStatus, TriggerEvent } from "../contract/events.ts";
import type { RunStart } from "./runRecord.ts";

/** How an event is known again; null where it is not known by that. */
export type EventIdentity = {
  senderId: string | null;
  /** SHA-256 of the body, hex. */
  bodyDigest: string | null;
};

/** Headers and body as they are kept; null where they are not. */
export type KeptPayload = {
  text: string;
  contentType: string | null;
  headers: Record<string, string>;
  /** When they are dropped; null: never. */
  expiresAtMs: number | null;
};

/** The job that an event comes to; `json` is a `StoredJob`. */
export type EventJob = { start: RunStart; runAtMs: number; json: string };

/** What an event has come to, and what is kept of it from then on. */
export type EventOutcome = {
  status: EventStatus;
  error: EventError | null;
  payload: KeptPayload | null;
  /** Of an accepted one. */
  job: EventJob | null;
};

export type NewEvent = EventOutcome &
  EventIdentity & { id: string; projectId: string; triggerId: string; receivedAtMs: number };

/** An event that is on record. */
export type HeldEvent = { eventId: string; runId: string | null; status: EventStatus };

export type StoredEvent = { event: TriggerEvent; payload: KeptPayload | null };

export type EventStore = {
  /**
   * Writes an event and, where it comes to one, its job, in one batch; or nothing at all when the trigger has an event
   * with the same sender's id or the same digest, which is then the one that is returned. Idempotent.
   */
  receiveEvent: (event: NewEvent) => Promise<HeldEvent>;
  /** The same for an event on record that has no run; one that has a run stays as it is. Null when the project has none such. */
  settleEvent: (projectId: string, eventId: string, outcome: EventOutcome) => Promise<TriggerEvent | null>;
  findEvent: (projectId: string, eventId: string) => Promise<StoredEvent | null>;
  /** Newest first, those before `beforeId` in age order when given. */
  listEvents: (
    owner: { projectId: string; triggerId: string },
    page: { status: EventStatus | undefined; beforeId: string | null; limit: number },
  ) => Promise<TriggerEvent[]>;
};
