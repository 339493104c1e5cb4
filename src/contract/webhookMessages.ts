import * as z from "zod";
import { Metadata } from "./chat.ts";
import { ToolCall } from "./completions.ts";
import { WebhookEvent } from "./endpoints.ts";
import { ErrorCode } from "./errors.ts";
import { Cost, settledStatuses, Usage } from "./runs.ts";

/** How a job's run has ended. */
export const RunMessageData = z.object({
  runId: z.string(),
  batchId: z.string().nullable(),
  /** The run that this one repeats. */
  retryOf: z.string().nullable(),
  status: z.enum(settledStatuses),
  createdAt: z.iso.datetime(),
  /** From its creation to its end. */
  totalMs: z.number().int().nullable(),
  template: z
    .object({ id: z.string(), name: z.string(), version: z.number().int(), label: z.string().nullable() })
    .nullable(),
  model: z.object({ asked: z.string(), answered: z.string().nullable() }),
  /** True when the embedded simulator answered. */
  simulated: z.boolean(),
  finishReason: z.string().nullable(),
  usage: Usage.nullable(),
  cost: Cost.nullable(),
  error: z.object({ code: ErrorCode, message: z.string() }).nullable(),
  metadata: Metadata,
  /** The answer, or what had arrived of it; null where `output` is there instead, or `truncated` is true. */
  text: z.string().nullable(),
  /** The parsed answer, where a JSON schema was asked for and it fits. */
  output: z.unknown().optional(),
  toolCalls: z.array(ToolCall),
  /**
   * True when the answer, or the metadata, would make the message too long, or the project keeps no contents: the run
   * has what is missing, as far as it is kept.
   */
  truncated: z.boolean(),
  /** Where the run is read: a path below weir's own address, by GET and with a key that has `runs:read`. */
  resultPath: z.string(),
  /** Only in the sample of `endpoints.test`. */
  test: z.literal(true).optional(),
});
export type RunMessageData = z.infer<typeof RunMessageData>;

const count = z.number().int().min(0);

/** All jobs of a batch have ended. */
export const BatchMessageData = z.object({
  batchId: z.string(),
  createdAt: z.iso.datetime(),
  total: count,
  succeeded: count,
  failed: count,
  cancelled: count,
  interrupted: count,
  /** Only in the sample of `endpoints.test`. */
  test: z.literal(true).optional(),
});
export type BatchMessageData = z.infer<typeof BatchMessageData>;

const { "batch.completed": batchCompleted, ...runEvents } = WebhookEvent.enum;

/** Body of every message to an endpoint, shorter than 20 kB; `timestamp` is when it happened. */
export const WebhookMessage = z.discriminatedUnion("type", [
  z.object({ type: z.enum(runEvents), timestamp: z.iso.datetime(), data: RunMessageData }),
  z.object({ type: z.literal(batchCompleted), timestamp: z.iso.datetime(), data: BatchMessageData }),
]);
export type WebhookMessage = z.infer<typeof WebhookMessage>;
