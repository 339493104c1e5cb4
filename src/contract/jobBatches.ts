import * as z from "zod";
import { ChatMessage, Metadata } from "./chat.ts";
import { CreateCompletionInput } from "./completions.ts";
import { ErrorCode } from "./errors.ts";
import { SubmitJobInput } from "./jobs.ts";
import { limits } from "./limits.ts";
import { PageInput, page } from "./paging.ts";
import { RunStatus } from "./runs.ts";
import { Variables } from "./templates.ts";

/** What one job of a batch has of its own. */
export const BatchItem = z.strictObject({
  variables: Variables.optional(),
  /** Instead of the batch's `messages`. */
  messages: z.array(ChatMessage).min(1).max(limits.maxMessages).optional(),
  /** Beside the batch's metadata, and before it where both have a name. */
  metadata: Metadata.optional(),
  /** The caller's name for the item, told with its result; no two items of a batch share one. */
  key: z.string().min(1).max(limits.maxBatchItemKeyChars).optional(),
});
export type BatchItem = z.infer<typeof BatchItem>;

const { template, version, messages, model, params, fallbacks, timeouts, metadata } = CreateCompletionInput.shape;
const { idempotencyKey, priority, delayMs, runAt, deadlineMs, onInterrupt, callback } = SubmitJobInput.shape;

/** Many jobs that share everything but what is in their items; see `jobs.submit` for the fields. */
export const SubmitBatchInput = z
  .strictObject({
    ...{ template, version, messages, model, params, fallbacks, timeouts, metadata },
    /** Submitting the same batch again under it answers with the same batch; keys of `jobs.submit` are the same keys. */
    idempotencyKey,
    ...{ priority, delayMs, runAt, deadlineMs, onInterrupt },
    /** An endpoint of the project that is told of the end of each job, and of that of the batch. */
    callback,
    items: z.array(BatchItem).min(1).max(limits.maxBatchItems),
  })
  .refine((input) => input.delayMs === undefined || input.runAt === undefined, {
    message: "give `delayMs` or `runAt`",
    path: ["runAt"],
  })
  .refine((input) => input.template !== undefined || input.model !== undefined, {
    message: "`model` is required without a template",
    path: ["model"],
  })
  .superRefine((input, context) => {
    const keys = new Set<string>();
    for (const [at, item] of input.items.entries()) {
      const refuse = (field: string, message: string) =>
        context.addIssue({ code: "custom", path: ["items", at, field], message });
      if (item.key !== undefined && keys.has(item.key)) refuse("key", "another item has this key");
      if (item.key !== undefined) keys.add(item.key);
      if (input.template !== undefined) continue;
      if (item.variables) refuse("variables", "`variables` need a template");
      if (!item.messages && !input.messages) refuse("messages", "required without a template");
    }
  });
export type SubmitBatchInput = z.infer<typeof SubmitBatchInput>;

/** An accepted batch: each of its jobs will reach an end. */
export const BatchTicket = z.object({
  batchId: z.string(),
  createdAt: z.iso.datetime(),
  /** When its jobs may start. */
  runAt: z.iso.datetime(),
  /** In the order of the items. */
  runIds: z.array(z.string()),
  total: z.number().int(),
});
export type BatchTicket = z.infer<typeof BatchTicket>;

export const BatchIdInput = z.strictObject({ batchId: z.string().max(100) });
export type BatchIdInput = z.infer<typeof BatchIdInput>;

const count = z.number().int().min(0);

/**
 * How many of a batch's runs are in which state, as the run log has it: a job that has just begun may count as
 * queued for some seconds, and a deleted run does not count.
 */
export const BatchStatus = z.object({
  batchId: z.string(),
  createdAt: z.iso.datetime(),
  total: count,
  queued: count,
  running: count,
  succeeded: count,
  failed: count,
  cancelled: count,
  interrupted: count,
});
export type BatchStatus = z.infer<typeof BatchStatus>;

export const BatchResultsInput = z.strictObject({ ...BatchIdInput.shape, ...PageInput.shape });
export type BatchResultsInput = z.infer<typeof BatchResultsInput>;

export const BatchResult = z.object({
  /** Place in the batch's `items`, from 0. */
  index: z.number().int().min(0),
  key: z.string().nullable(),
  runId: z.string(),
  status: RunStatus,
  /** The answer, or what had arrived of it at the end; null until then, and where the project keeps no contents. */
  content: z.string().nullable(),
  /** The parsed answer, where a JSON schema was asked for and it fits; `outputValid` says whether it does. */
  output: z.unknown().optional(),
  outputValid: z.boolean().nullable(),
  /** True where the run log could not hold the whole answer: `content` is cut, and `output` is left out. */
  answerCut: z.literal(true).optional(),
  error: z.object({ code: ErrorCode, message: z.string() }).nullable(),
});
export type BatchResult = z.infer<typeof BatchResult>;

/** In the order of the items. A page of long answers may be shorter than was asked for. */
export const BatchResultPage = page(BatchResult);
