import * as z from "zod";
import { WebhookEvent } from "./endpoints.ts";
import { PageInput, page } from "./paging.ts";

/** Why an attempt failed. */
export const DeliveryFault = z.enum([
  /** An answer other than 2xx. */
  "status",
  /** No whole answer within `limits.deliveryTimeoutMs`. */
  "timeout",
  /** The endpoint cannot be reached. */
  "unreachable",
  /** The address is none that weir calls; see `endpoints.create`. */
  "address_refused",
  /** The signing secret cannot be read under this ENCRYPTION_KEY. */
  "secret_unreadable",
]);
export type DeliveryFault = z.infer<typeof DeliveryFault>;

/** One time that a message was sent. */
export const DeliveryAttempt = z.object({
  at: z.iso.datetime(),
  durationMs: z.number().int().min(0),
  /** HTTP status of the endpoint; null when no answer came. */
  status: z.number().int().nullable(),
  /** Null when the attempt succeeded. */
  error: DeliveryFault.nullable(),
  /** What the answer began with, `limits.maxDeliveryAnswerBytes` of it at most; null when there was none. */
  answer: z.string().nullable(),
});
export type DeliveryAttempt = z.infer<typeof DeliveryAttempt>;

export const DeliveryStatus = z.enum([
  /** To be sent, at `nextAttemptAt`. */
  "pending",
  /** The endpoint answered 2xx. */
  "delivered",
  /** Given up after the last attempt; `endpoints.deliveries.replay` begins anew. */
  "dead",
]);
export type DeliveryStatus = z.infer<typeof DeliveryStatus>;

/** A message to one endpoint. Its id is that of the message on the wire, and the same for every attempt. */
export const Delivery = z.object({
  id: z.string(),
  event: WebhookEvent,
  /** The run, or the batch, that it tells of. */
  runId: z.string().nullable(),
  batchId: z.string().nullable(),
  status: DeliveryStatus,
  createdAt: z.iso.datetime(),
  attempts: z.number().int().min(0),
  /** Null when there is none to come, or the endpoint is disabled. */
  nextAttemptAt: z.iso.datetime().nullable(),
  lastAttempt: DeliveryAttempt.nullable(),
});
export type Delivery = z.infer<typeof Delivery>;

export const ListDeliveriesInput = PageInput.extend({
  endpointId: z.string().min(1).max(100),
  status: DeliveryStatus.optional(),
  runId: z.string().max(100).optional(),
}).strict();
export type ListDeliveriesInput = z.infer<typeof ListDeliveriesInput>;
export const DeliveryPage = page(Delivery);

export const DeliveryIdInput = z.strictObject({
  endpointId: z.string().min(1).max(100),
  id: z.string().min(1).max(100),
});
export type DeliveryIdInput = z.infer<typeof DeliveryIdInput>;

/** A delivery with what was sent and every attempt, oldest first. */
export const DeliveryDetail = z.object({
  delivery: Delivery,
  /** The message's JSON, to the byte as it is signed. */
  body: z.string(),
  attempts: z.array(DeliveryAttempt),
});
export type DeliveryDetail = z.infer<typeof DeliveryDetail>;
