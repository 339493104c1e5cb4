import * as z from "zod";
import { CreateCompletionInput, ToolCall } from "./completions.ts";
import { Callback } from "./endpoints.ts";
import { limits } from "./limits.ts";
import { Run, RunStatus } from "./runs.ts";

/** What happens to a job whose attempt is lost (a crash, a deployment) after tokens have arrived. */
export const OnInterrupt = z.enum([
  /** The run ends as `interrupted` with the text so far: what was billed is kept, nothing is billed twice. */
  "keep",
  /** A new attempt; the text begins anew. */
  "restart",
]);
export type OnInterrupt = z.infer<typeof OnInterrupt>;

export const IdempotencyKey = z
  .string()
  .regex(/^[\x20-\x7e]+$/, { message: "must be printable ASCII characters" })
  .max(limits.maxIdempotencyKeyChars);

/** Jobs of a project, or of those that an upstream serves, that may call upstreams at a time. */
export const MaxJobs = z.number().int().min(1).max(limits.maxConcurrentJobs);

/** A completion that outlives its caller; the fields of `completions.create` and how it is to be run. */
export const SubmitJobInput = CreateCompletionInput.safeExtend({
  /** Unique per project: submitting the same request again under it answers with the same run. */
  idempotencyKey: IdempotencyKey.optional(),
  /** Among the project's waiting jobs the higher one goes first, then the older one. */
  priority: z.number().int().min(-limits.maxJobPriority).max(limits.maxJobPriority).default(0),
  /** Not to be started before so long, ms. */
  delayMs: z.number().int().min(0).max(limits.maxJobDelayMs).optional(),
  /** Not to be started before then; instead of `delayMs`. A time that has passed means now. */
  runAt: z.iso.datetime({ offset: true }).optional(),
  /** Time for the whole job from the moment it may start, waiting included, ms; then it fails as `upstream_timeout`. */
  deadlineMs: z.number().int().min(limits.minTimeoutMs).max(limits.maxJobDeadlineMs).optional(),
  onInterrupt: OnInterrupt.default("keep"),
  /** An endpoint of the project that is told of this job's end. */
  callback: Callback.optional(),
}).refine((input) => input.delayMs === undefined || input.runAt === undefined, {
  message: "give `delayMs` or `runAt`",
  path: ["runAt"],
});
export type SubmitJobInput = z.infer<typeof SubmitJobInput>;

/** An accepted job: it will reach an end, whatever happens to its caller. */
export const JobTicket = z.object({
  runId: z.string(),
  createdAt: z.iso.datetime(),
  /** When it may start. */
  runAt: z.iso.datetime(),
  /** The run that it repeats. */
  retryOf: z.string().nullable(),
});
export type JobTicket = z.infer<typeof JobTicket>;

/** A piece of a tool call, told apart by `index`: id and name come once, the arguments in pieces. */
export const ToolCallDelta = z.object({
  index: z.number().int(),
  id: z.string().optional(),
  name: z.string().optional(),
  arguments: z.string().optional(),
});
export type ToolCallDelta = z.infer<typeof ToolCallDelta>;

const OutputInvalid = z.object({ message: z.string(), path: z.string() });

const seq = z.number().int().min(1);

/** False where the job's events are gone and the run log keeps no contents: what is told of the answer is not all. */
const answerKept = z.literal(false).optional();

/** True where the job's events are gone and the run log could not hold the whole answer: what is told of it is cut. */
const answerCut = z.literal(true).optional();

/**
 * What a watcher sees, numbered from 1 without gaps. `delta`s belong to the attempt of the `running` status before
 * them: a `running` status with text before it means that the text begins anew. `done` is the last one.
 */
export const JobEvent = z.discriminatedUnion("type", [
  z.object({
    seq,
    type: z.literal("status"),
    status: z.enum(["queued", "running", "waiting_retry"]),
    /** Calls of upstreams so far, the one that begins included. */
    attempt: z.number().int().min(0),
    /** When a waiting job goes on. */
    retryAt: z.iso.datetime().optional(),
  }),
  z.object({
    seq,
    type: z.literal("delta"),
    content: z.string().optional(),
    reasoning: z.string().optional(),
    toolCalls: z.array(ToolCallDelta).optional(),
  }),
  z.object({
    seq,
    type: z.literal("done"),
    run: Run,
    /** The parsed answer, where a JSON schema was asked for and it fits; not of one that is cut, or too long for an event. */
    output: z.unknown().optional(),
    outputInvalid: OutputInvalid.optional(),
    answerKept,
    answerCut,
  }),
]);
export type JobEvent = z.infer<typeof JobEvent>;

export const JobIdInput = z.strictObject({ runId: z.string().max(100) });

export const WatchJobInput = z.strictObject({
  runId: z.string().max(100),
  /** Number of the last event seen: the stream goes on after it. tRPC's client and EventSource set it when they reconnect. */
  lastEventId: z
    .string()
    .regex(/^[0-9]{1,15}$/, { message: "must be the id of an event" })
    .nullish(),
});
export type WatchJobInput = z.infer<typeof WatchJobInput>;

export const JobResultInput = z.strictObject({
  runId: z.string().max(100),
  /** How long to wait for the end, ms. */
  waitMs: z.number().int().min(0).max(limits.maxJobWaitMs).default(limits.maxJobWaitMs),
});
export type JobResultInput = z.infer<typeof JobResultInput>;

/** A job's answer, or what there is of it. */
export const JobResult = z.object({
  runId: z.string(),
  status: RunStatus,
  content: z.string().nullable(),
  reasoning: z.string().nullable(),
  toolCalls: z.array(ToolCall),
  output: z.unknown().optional(),
  outputInvalid: OutputInvalid.optional(),
  answerKept,
  answerCut,
  /** Null until the job has ended. */
  run: Run.nullable(),
});
export type JobResult = z.infer<typeof JobResult>;

/** `status` is final; of a job that had ended already, the one it ended with. */
export const CancelledJob = z.object({ runId: z.string(), status: RunStatus });
export type CancelledJob = z.infer<typeof CancelledJob>;

export const RetryJobInput = z.strictObject({
  runId: z.string().max(100),
  /** `same`: what was sent before, to the letter. `newest`: rendered again with the template's latest version. */
  version: z.enum(["same", "newest"]).default("same"),
  idempotencyKey: IdempotencyKey.optional(),
});
export type RetryJobInput = z.infer<typeof RetryJobInput>;
