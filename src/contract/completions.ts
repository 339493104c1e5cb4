import * as z from "zod";
import { CallTimeouts, ChatMessage, CompletionParams, Fallbacks, type JsonObject, Metadata } from "./chat.ts";
import { limits } from "./limits.ts";
import { Cost, Usage, UsageSource } from "./runs.ts";
import { Selector, TemplateName, Variables } from "./templates.ts";

/** Either a stored template with variables, or messages (then `model` is required). */
export const CreateCompletionInput = z
  .strictObject({
    template: TemplateName.optional(),
    version: Selector.optional(),
    variables: Variables.optional(),
    messages: z.array(ChatMessage).min(1).max(limits.maxMessages).optional(),
    /** Overrides the template's model. */
    model: z.string().min(1).max(200).optional(),
    /** Overrides the template's parameters one by one. */
    params: CompletionParams.strict().optional(),
    fallbacks: Fallbacks.optional(),
    timeouts: CallTimeouts.optional(),
    metadata: Metadata.optional(),
  })
  .refine((input) => input.template !== undefined || input.messages !== undefined, {
    message: "give `template` or `messages`",
    path: ["template"],
  })
  .refine((input) => input.template !== undefined || input.model !== undefined, {
    message: "`model` is required without a template",
    path: ["model"],
  })
  .refine((input) => input.template !== undefined || input.variables === undefined, {
    message: "`variables` need a template",
    path: ["variables"],
  });
export type CreateCompletionInput = z.infer<typeof CreateCompletionInput>;

export const ToolCall = z.object({
  id: z.string(),
  name: z.string(),
  /** JSON text as the model wrote it. */
  arguments: z.string(),
});
export type ToolCall = z.infer<typeof ToolCall>;

export const CompletionResult = z.object({
  runId: z.string(),
  /** The model that answered, as the upstream names it. */
  model: z.string(),
  content: z.string().nullable(),
  reasoning: z.string().nullable(),
  toolCalls: z.array(ToolCall),
  finishReason: z.string().nullable(),
  usage: Usage.nullable(),
  usageSource: UsageSource,
  cost: Cost.nullable(),
  /** The parsed answer, when the template's or request's response format is a JSON schema and it fits. */
  output: z.unknown().optional(),
  /** Why the answer does not fit the schema. */
  outputInvalid: z.object({ message: z.string(), path: z.string() }).optional(),
  template: z.object({ name: z.string(), version: z.number().int(), label: z.string().nullable() }).nullable(),
});
export type CompletionResult = z.infer<typeof CompletionResult>;

/** `prompt` on the OpenAI door: a stored template by name. */
export const PromptReference = z.strictObject({
  id: TemplateName,
  version: z
    .union([
      Selector,
      z
        .string()
        .regex(/^[1-9][0-9]{0,8}$/)
        .transform(Number),
    ])
    .nullish(),
  variables: Variables.nullish(),
});
export type PromptReference = z.infer<typeof PromptReference>;

/**
 * Body of POST /v1/chat/completions once `null`s are dropped. Fields we do not know pass to the upstream.
 * One message object is taken as an array of one, as a published client sends it.
 */
export const ChatCompletionRequest = CompletionParams.extend({
  model: z.string().min(1).max(200).optional(),
  messages: z
    .preprocess(
      (value) => (typeof value === "object" && value !== null && !Array.isArray(value) ? [value] : value),
      z.array(ChatMessage).max(limits.maxMessages),
    )
    .optional(),
  prompt: PromptReference.optional(),
  stream: z.boolean().optional(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).optional(),
  fallbacks: Fallbacks.optional(),
  timeouts: CallTimeouts.optional(),
  metadata: Metadata.optional(),
  /** True: a job, see `BackgroundChatRequest`. */
  background: z.boolean().optional(),
})
  .catchall(z.unknown())
  .refine((body) => body.model !== undefined || body.prompt !== undefined, {
    message: "`model` (or `prompt`) is required",
    path: ["model"],
  })
  .superRefine((body, context) => {
    // Whoever asks for a delay must not be answered at once. `priority` is no such field: some upstreams know it.
    for (const name of ["delay_ms", "run_at", "deadline_ms", "on_interrupt", "callback"])
      if (body[name] !== undefined && body.background !== true)
        context.addIssue({ code: "custom", path: [name], message: "needs `background: true`" });
  });
export type ChatCompletionRequest = z.infer<typeof ChatCompletionRequest>;

/** One event of a stream, as far as weir reads it; everything else passes by. */
export type ChatCompletionChunk = JsonObject;
