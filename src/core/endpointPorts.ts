import type { Delivery, DeliveryAttempt, DeliveryDetail, DeliveryStatus } from "../contract/deliveries.ts";
import type { DisabledReason, Endpoint, WebhookEvent } from "../contract/endpoints.ts";
import type { Listener, Notice } from "./webhookMessages.ts";

/** Whose an endpoint is. */
export type EndpointOwner = { projectId: string; endpointId: string };

/** An endpoint as it is stored; an archived one has no secrets. */
export type StoredEndpoint = {
  projectId: string;
  endpoint: Endpoint;
  sealedSecret: string | null;
  /** The one before the last rotation. */
  sealedPrevious: string | null;
  /** Where weir was reached, a URL's `host`, when the address was saved: it must not lead there. */
  ownHost: string;
};

/** What an update writes; what is absent stays. */
export type EndpointChange = {
  nowMs: number;
  url?: { href: string; ownHost: string };
  description?: string;
  events?: readonly WebhookEvent[];
};

/** Why nothing is sent to an endpoint, and since when. */
export type Disabled = { reason: DisabledReason; atMs: number };

export type EndpointStore = {
  /** False, and nothing is written, when the project has `most` active endpoints. */
  insertEndpoint: (stored: StoredEndpoint, most: number) => Promise<boolean>;
  /** Newest first, those before `beforeId` in age order when given. */
  listEndpoints: (
    projectId: string,
    page: { archived: boolean; beforeId: string | null; limit: number },
  ) => Promise<Endpoint[]>;
  /** Archived ones included. */
  findEndpoint: (owner: EndpointOwner) => Promise<StoredEndpoint | null>;
  /** Null, and nothing is written, when the project has no such active endpoint. */
  updateEndpoint: (owner: EndpointOwner, change: EndpointChange) => Promise<Endpoint | null>;
  /**
   * Puts a new secret in the place of the present one, which is `from`, and that in the place of the one before until
   * `previousUntilMs`. Null when it is not the present one any more.
   */
  rotateSecret: (
    owner: EndpointOwner,
    rotation: { from: string; to: string; previousUntilMs: number; nowMs: number },
  ) => Promise<Endpoint | null>;
  /** Drops its secrets; keeps the time of an earlier call. Null when the project has none such. */
  archiveEndpoint: (owner: EndpointOwner, nowMs: number) => Promise<Endpoint | null>;
  /** Shows in lists what an endpoint's object has decided. */
  showDisabled: (owner: EndpointOwner, disabled: Disabled | null) => Promise<void>;
  /**
   * The project's active endpoints, those included that are disabled: they get what there is when they are enabled. With
   * them how long the project keeps contents, days; null: for ever.
   */
  findListeners: FindListeners;
};

export type Listeners = { listeners: Listener[]; retentionDays: number | null };
export type FindListeners = (projectId: string) => Promise<Listeners>;

export type DeliveryFilter = {
  status: DeliveryStatus | undefined;
  runId: string | undefined;
  beforeId: string | null;
  limit: number;
};

/**
 * An endpoint's object: its queue, and whether anything is sent at all, of which D1 shows a copy. All calls may be
 * repeated. It trusts its caller to have looked whose the endpoint is.
 */
export type EndpointObjects = {
  /** Counts, and since when every attempt has failed. */
  state: (owner: EndpointOwner) => Promise<{
    pending: number;
    dead: number;
    failingSinceMs: number | null;
    disabled: Disabled | null;
  }>;
  /** Sends nothing any more, or goes on with what there is; resolves with what holds from then on. */
  setEnabled: (owner: EndpointOwner, enabled: boolean) => Promise<Disabled | null>;
  /** The endpoint's record has changed, its address too when `isMoved`: it is read again before the next message. */
  changed: (owner: EndpointOwner, isMoved: boolean) => Promise<void>;
  /** Sends a message that is kept nowhere, also when the endpoint is disabled. Null: it has been archived. */
  sendSample: (owner: EndpointOwner, notice: Notice) => Promise<DeliveryAttempt | null>;
  /** Newest first. */
  listDeliveries: (owner: EndpointOwner, filter: DeliveryFilter) => Promise<Delivery[]>;
  findDelivery: (owner: EndpointOwner, id: string) => Promise<DeliveryDetail | null>;
  /** Sends a message anew under its id. Null: there is no such message. */
  replay: (owner: EndpointOwner, id: string) => Promise<Delivery | "disabled" | null>;
  /** Drops the messages that tell of a run. */
  forgetRun: (owner: EndpointOwner, runId: string) => Promise<void>;
  /** Forgets everything. */
  clear: (owner: EndpointOwner) => Promise<void>;
};
