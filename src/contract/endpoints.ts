import * as z from "zod";
import { limits } from "./limits.ts";
import { PageInput, page } from "./paging.ts";

/** What endpoints are told of: how a job's run has ended, and that all jobs of a batch have. */
export const WebhookEvent = z.enum([
  "run.succeeded",
  "run.failed",
  "run.cancelled",
  "run.interrupted",
  "batch.completed",
]);
export type WebhookEvent = z.infer<typeof WebhookEvent>;

const EndpointId = z.string().min(1).max(100);

const Events = z
  .array(WebhookEvent)
  .max(WebhookEvent.options.length)
  .refine((events) => new Set(events).size === events.length, { message: "the same event twice" });

/** Names an endpoint that is told of one job, or of a batch and its jobs, whatever else it is told of. */
export const Callback = z.strictObject({
  endpointId: EndpointId,
  /** Every event when left out. */
  events: Events.min(1).optional(),
});
export type Callback = z.infer<typeof Callback>;

/** Why nothing is sent to an endpoint. */
export const DisabledReason = z.enum([
  /** `endpoints.update` said so. */
  "requested",
  /** The endpoint answered 410. */
  "gone",
  /** Nothing has been delivered for `limits.endpointFailingMs`, though it was tried. */
  "failing",
]);
export type DisabledReason = z.infer<typeof DisabledReason>;

/** An address of the project's that gets signed messages. Its secrets are never shown again. */
export const Endpoint = z.object({
  id: z.string(),
  url: z.string(),
  description: z.string(),
  /** Told of these for every job and batch of the project; none: only where a job or batch names the endpoint. */
  events: z.array(WebhookEvent),
  status: z.enum(["enabled", "disabled"]),
  /** Null while it is enabled. */
  disabled: z.object({ reason: DisabledReason, at: z.iso.datetime() }).nullable(),
  /** Until when messages are signed with the secret before the last rotation too; null: with one secret. */
  previousSecretUntil: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  archived: z.boolean(),
});
export type Endpoint = z.infer<typeof Endpoint>;

/** An endpoint with a secret that is shown this once: `whsec_` and base64, as Standard Webhooks has it. */
export const EndpointWithSecret = z.object({ endpoint: Endpoint, secret: z.string() });
export type EndpointWithSecret = z.infer<typeof EndpointWithSecret>;

/** What is on its way to an endpoint, as its object knows it. */
export const EndpointState = z.object({
  endpoint: Endpoint,
  /** Messages that wait for an attempt, or for the endpoint to be enabled. */
  pending: z.number().int().min(0),
  /** Messages that have been given up; each can be replayed. */
  dead: z.number().int().min(0),
  /** Since when every attempt has failed; null when the last one succeeded, or there was none. */
  failingSince: z.iso.datetime().nullable(),
});
export type EndpointState = z.infer<typeof EndpointState>;

const Url = z.string().min(1).max(limits.maxEndpointUrlChars);
const Description = z.string().max(limits.maxEndpointDescriptionChars);

export const CreateEndpointInput = z.strictObject({
  /** https, port 443, a public name. */
  url: Url,
  description: Description.default(""),
  events: Events.default([]),
});
export type CreateEndpointInput = z.infer<typeof CreateEndpointInput>;

export const ListEndpointsInput = PageInput.extend({ archived: z.boolean().default(false) }).strict();
export type ListEndpointsInput = z.infer<typeof ListEndpointsInput>;
export const EndpointPage = page(Endpoint);

export const EndpointIdInput = z.strictObject({ id: EndpointId });

/** What is left out stays as it is. */
export const UpdateEndpointInput = z.strictObject({
  id: EndpointId,
  url: Url.optional(),
  description: Description.optional(),
  events: Events.optional(),
  /** False holds back whatever there is to send; true takes it up, also after a 410. */
  enabled: z.boolean().optional(),
});
export type UpdateEndpointInput = z.infer<typeof UpdateEndpointInput>;

export const RotateEndpointSecretInput = z.strictObject({
  id: EndpointId,
  /** How long messages are signed with the old secret as well, seconds. */
  overlapSeconds: z.number().int().min(0).max(limits.maxKeyOverlapSeconds).default(limits.endpointSecretOverlapSeconds),
});
export type RotateEndpointSecretInput = z.infer<typeof RotateEndpointSecretInput>;

export const TestEndpointInput = z.strictObject({
  id: EndpointId,
  /** What the sample tells of; its `data.test` is true. */
  event: WebhookEvent.default("run.succeeded"),
});
export type TestEndpointInput = z.infer<typeof TestEndpointInput>;
