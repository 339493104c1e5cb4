import * as z from "zod";
import { ChatMessage, JsonObject, Metadata } from "./chat.ts";
import { ErrorCode } from "./errors.ts";
import { PageInput, page } from "./paging.ts";
import { UsedPartial, VersionNumber } from "./templates.ts";

export const RunStatus = z.enum(["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]);
export type RunStatus = z.infer<typeof RunStatus>;

/** Statuses that a run never leaves. */
export const settledStatuses = ["succeeded", "failed", "cancelled", "interrupted"] as const;
export type SettledStatus = (typeof settledStatuses)[number];

export const RunSource = z.enum(["trpc", "openai", "webhook", "console"]);
export type RunSource = z.infer<typeof RunSource>;

export const Usage = z.object({
  promptTokens: z.number().int().min(0),
  completionTokens: z.number().int().min(0),
  /** Part of the completion tokens; null when the upstream does not say. */
  reasoningTokens: z.number().int().min(0).nullable(),
});
export type Usage = z.infer<typeof Usage>;

export const UsageSource = z.enum(["upstream", "estimated", "unknown"]);
export type UsageSource = z.infer<typeof UsageSource>;

/** Micro-units of a currency: 1 CNY = 1,000,000. */
export const Cost = z.object({ micros: z.number().int(), currency: z.string().length(3) });
export type Cost = z.infer<typeof Cost>;

/** One call of an upstream inside a completion; times in ms since the run was created. */
export const Attempt = z.object({
  model: z.string(),
  upstream: z.string(),
  startedMs: z.number().int().min(0),
  endedMs: z.number().int().min(0),
  /** HTTP status of the upstream; null when no answer came. */
  status: z.number().int().nullable(),
  error: ErrorCode.nullable(),
});
export type Attempt = z.infer<typeof Attempt>;

export const Run = z.object({
  id: z.string(),
  status: RunStatus,
  source: RunSource,
  /** True when the embedded simulator answered. */
  simulated: z.boolean(),
  stream: z.boolean(),
  createdAt: z.iso.datetime(),
  keyId: z.string(),
  template: z
    .object({
      id: z.string(),
      name: z.string(),
      version: VersionNumber,
      versionId: z.string(),
      label: z.string().nullable(),
      partials: z.array(UsedPartial),
    })
    .nullable(),
  /** The run that this one repeats. */
  retryOf: z.string().nullable(),
  /** The batch that it was submitted with. */
  batchId: z.string().nullable(),
  modelAsked: z.string(),
  modelAnswered: z.string().nullable(),
  upstream: z.string().nullable(),
  errorCode: ErrorCode.nullable(),
  errorMessage: z.string().nullable(),
  finishReason: z.string().nullable(),
  /** True when a frame of the stream was not valid JSON; beyond the text that is kept frames are not read. */
  malformed: z.boolean(),
  attempts: z.array(Attempt),
  usage: Usage.nullable(),
  usageSource: UsageSource,
  cost: Cost.nullable(),
  /** Milliseconds; null where the run did not get that far. */
  timings: z.object({
    queueMs: z.number().int().nullable(),
    headersMs: z.number().int().nullable(),
    firstTokenMs: z.number().int().nullable(),
    totalMs: z.number().int().nullable(),
  }),
  /** Whether the answer fits the JSON schema asked for; null when none was. */
  outputValid: z.boolean().nullable(),
  metadata: Metadata,
  score: z.number().nullable(),
  scoreComment: z.string().nullable(),
});
export type Run = z.infer<typeof Run>;

/** What was sent and what came back; null once expired or when the project keeps no contents. */
export const RunContents = z.object({
  messages: z.array(ChatMessage),
  /** Model, parameters and tools as sent, without the messages. */
  request: JsonObject,
  variables: JsonObject.nullable(),
  content: z.string().nullable(),
  reasoning: z.string().nullable(),
  toolCalls: z.array(JsonObject),
  output: z.unknown().optional(),
  /** True when the request or the answer was cut to what a row holds. */
  cut: z.boolean(),
  /** True when that was the answer. */
  answerCut: z.literal(true).optional(),
});
export type RunContents = z.infer<typeof RunContents>;

export const RunFilter = z.strictObject({
  /** Created at or after / before. */
  from: z.iso.datetime({ offset: true }).optional(),
  to: z.iso.datetime({ offset: true }).optional(),
  status: RunStatus.optional(),
  /** Template name. */
  template: z.string().max(100).optional(),
  /** Version number; needs `template`. */
  version: VersionNumber.optional(),
  /** Model as asked for. */
  model: z.string().max(200).optional(),
  source: RunSource.optional(),
  keyId: z.string().max(100).optional(),
  /** All pairs must match. */
  metadata: Metadata.optional(),
  /** Words of the messages or the answer; the last word may be unfinished. */
  text: z.string().min(1).max(200).optional(),
});
export type RunFilter = z.infer<typeof RunFilter>;

export const ListRunsInput = z
  .strictObject({ ...PageInput.shape, ...RunFilter.shape })
  .refine((input) => input.version === undefined || input.template !== undefined, {
    message: "`version` needs `template`",
    path: ["version"],
  });
export type ListRunsInput = z.infer<typeof ListRunsInput>;
export const RunPage = page(Run);

export const RunIdInput = z.strictObject({ id: z.string().max(100) });
export const RunWithContents = z.object({ run: Run, contents: RunContents.nullable() });
export type RunWithContents = z.infer<typeof RunWithContents>;

export const RateRunInput = z.strictObject({
  id: z.string().max(100),
  /** From -1 (bad) to 1 (good); null takes a rating back. */
  score: z.number().min(-1).max(1).nullable(),
  comment: z.string().max(1_000).optional(),
});

export const StatsGroup = z.enum(["day", "template", "version", "model", "key"]);
export const RunStatsInput = z.strictObject({
  /** UTC days, both included; the last 30 days when absent. */
  from: z.iso.date().optional(),
  to: z.iso.date().optional(),
  groupBy: StatsGroup.default("day"),
  template: z.string().max(100).optional(),
  model: z.string().max(200).optional(),
  keyId: z.string().max(100).optional(),
});
export type RunStatsInput = z.infer<typeof RunStatsInput>;

export const RunStatsRow = z.object({
  /** The day, template name, `NAME@VERSION`, model or key id; empty for runs without one. */
  group: z.string(),
  runs: z.number().int(),
  succeeded: z.number().int(),
  failed: z.number().int(),
  cancelled: z.number().int(),
  interrupted: z.number().int(),
  promptTokens: z.number().int(),
  completionTokens: z.number().int(),
  reasoningTokens: z.number().int(),
  /** One entry per currency. */
  costs: z.array(Cost),
  /** Runs whose cost is not known; they are in no sum. */
  costUnknown: z.number().int(),
  /** Means over the runs that have the figure, ms. */
  meanFirstTokenMs: z.number().nullable(),
  meanTotalMs: z.number().nullable(),
});
export type RunStatsRow = z.infer<typeof RunStatsRow>;
export const RunStats = z.object({ from: z.iso.date(), to: z.iso.date(), rows: z.array(RunStatsRow) });
export type RunStats = z.infer<typeof RunStats>;
