import * as z from "zod";
import { ChatMessage, JsonObject, Metadata } from "./chat.ts";
import { ErrorCode } from "./errors.ts";
import { JobResult } from "./jobs.ts";
import { limits } from "./limits.ts";
import { PageInput, page } from "./paging.ts";
import { Selector, TemplateName } from "./templates.ts";
import { CreateTriggerInput } from "./triggers.ts";

export const EventStatus = z.enum([
  /** It has a run. */
  "accepted",
  /** The trigger's filter did not match, or the sender only tried the address out. */
  "ignored",
  /** No run could be made of it; `triggers.replay` tries again. */
  "failed",
]);
export type EventStatus = z.infer<typeof EventStatus>;

/** Why an event failed. */
export const EventError = z.object({
  code: ErrorCode,
  message: z.string(),
  /** The part of the trigger at fault, such as `variables.title`. */
  param: z.string().nullable(),
  /** The expression at fault. */
  expression: z.string().nullable(),
});
export type EventError = z.infer<typeof EventError>;

/** A request that a trigger has received. */
export const TriggerEvent = z.object({
  id: z.string(),
  triggerId: z.string(),
  receivedAt: z.iso.datetime(),
  status: EventStatus,
  runId: z.string().nullable(),
  /** The id that the sender gave it. */
  senderId: z.string().nullable(),
  error: EventError.nullable(),
  /** Whether its payload is still kept, so that it can be replayed and previewed. */
  hasPayload: z.boolean(),
});
export type TriggerEvent = z.infer<typeof TriggerEvent>;

const id = z.string().max(100);

export const ListEventsInput = PageInput.extend({ triggerId: id, status: EventStatus.optional() }).strict();
export type ListEventsInput = z.infer<typeof ListEventsInput>;
export const EventPage = page(TriggerEvent);

export const ReplayEventInput = z.strictObject({ eventId: id });
export type ReplayEventInput = z.infer<typeof ReplayEventInput>;

/** A payload to try a trigger with: a body as text, or a value that is sent as JSON. */
const Sample = z.strictObject({
  body: z.unknown(),
  headers: z.record(z.string().max(100), z.string().max(limits.maxKeptHeaderChars)).default({}),
});

const { variables, metadata, filter } = CreateTriggerInput.shape;

/** A sample or a stored event, and what is to be other than the trigger has it. */
export const PreviewTriggerInput = z
  .strictObject({
    id,
    sample: Sample.optional(),
    eventId: id.optional(),
    template: TemplateName.optional(),
    version: Selector.optional(),
    variables: variables.unwrap().optional(),
    metadata: metadata.unwrap().optional(),
    filter: filter.unwrap().optional(),
  })
  .refine((input) => (input.sample === undefined) !== (input.eventId === undefined), {
    message: "give `sample` or `eventId`",
    path: ["sample"],
  });
export type PreviewTriggerInput = z.infer<typeof PreviewTriggerInput>;

export const TriggerPreview = z.object({
  /** The payload as expressions see it, and the headers that are kept. */
  payload: z.unknown(),
  headers: z.record(z.string(), z.string()),
  /** Whether an event like this would be ignored. */
  ignored: z.boolean(),
  variables: JsonObject,
  /** What the trigger maps into the run's metadata, beside `trigger` and `event`. */
  metadata: Metadata,
  /** Variables whose text was longer than may be. */
  cut: z.array(z.string()),
  /** What would be sent, or would be if the filter let the event through; null where it cannot be mapped. */
  messages: z.array(ChatMessage).nullable(),
  error: EventError.nullable(),
});
export type TriggerPreview = z.infer<typeof TriggerPreview>;

/** The answer to a sender. */
export const HookAnswer = z.object({
  eventId: z.string(),
  /** Null for an event that comes to no run. */
  runId: z.string().nullable(),
  status: EventStatus,
  /** Whether the event had been received before. */
  duplicate: z.boolean(),
  /** The run's end, of a trigger that answers with it and where it came in time. */
  result: JobResult.omit({ runId: true, run: true }).optional(),
});
export type HookAnswer = z.infer<typeof HookAnswer>;
