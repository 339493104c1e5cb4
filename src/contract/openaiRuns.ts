import * as z from "zod";
import { JsonObject, Metadata } from "./chat.ts";
import { ChatCompletionRequest } from "./completions.ts";
import { Callback } from "./endpoints.ts";
import { ErrorEnvelope } from "./errors.ts";
import { SubmitJobInput } from "./jobs.ts";
import { RunStatus } from "./runs.ts";

const options = SubmitJobInput.shape;

const { endpointId: endpoint_id, events } = Callback.shape;

/** An endpoint of the project that is told of the job's end. */
const OpenaiCallback = z.strictObject({ endpoint_id, events });

/** Body of POST /v1/chat/completions for a job: that of a relay and how it is to be run. */
export const BackgroundChatRequest = ChatCompletionRequest.safeExtend({
  background: z.literal(true),
  /** A job tells one answer. */
  n: z.literal(1, { message: "a job has one choice" }).optional(),
  priority: options.priority,
  delay_ms: options.delayMs,
  run_at: options.runAt,
  deadline_ms: options.deadlineMs,
  on_interrupt: options.onInterrupt,
  callback: OpenaiCallback.optional(),
}).refine((body) => body.delay_ms === undefined || body.run_at === undefined, {
  message: "give `delay_ms` or `run_at`",
  path: ["run_at"],
});
export type BackgroundChatRequest = z.infer<typeof BackgroundChatRequest>;

/** One call of an upstream; times in ms since the run was created. */
const RunAttempt = z.object({
  model: z.string(),
  upstream: z.string(),
  started_ms: z.number().int(),
  ended_ms: z.number().int(),
  status: z.number().int().nullable(),
  error: z.string().nullable(),
});

/** A run on /v1, durable or relayed; times in seconds since the epoch, as OpenAI's are. */
export const RunObject = z.object({
  id: z.string(),
  object: z.literal("chat.completion.run"),
  created_at: z.number().int(),
  /** Null until it has ended. */
  completed_at: z.number().int().nullable(),
  /** `queued` and `running` are on their way; the others are ends. */
  status: RunStatus,
  /** As asked for. */
  model: z.string(),
  /**
   * A `chat.completion`; of a run that has not succeeded, what there is of it. Null while there is nothing, and where
   * it is not kept any more.
   */
  answer: JsonObject.nullable(),
  /** True where the run log could not hold the whole answer, which is cut then and has no `finish_reason`. */
  answer_cut: z.literal(true).optional(),
  error: ErrorEnvelope.shape.error.nullable(),
  /** As in a `chat.completion`, with `cost` and `cost_currency` where the price is known. */
  usage: JsonObject.nullable(),
  attempts: z.array(RunAttempt),
  /** The run that this one repeats. */
  retry_of: z.string().nullable(),
  metadata: Metadata,
});
export type RunObject = z.infer<typeof RunObject>;

/** Number of the last event seen. */
export const EventNumber = z.string().regex(/^[0-9]{1,15}$/, { message: "must be the id of an event" });
