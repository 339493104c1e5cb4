import * as z from "zod";
import { limits } from "./limits.ts";

/** A JSON object whose fields we do not know. */
export const JsonObject = z.record(z.string(), z.unknown());
export type JsonObject = z.infer<typeof JsonObject>;

export const Role = z.enum(["system", "developer", "user", "assistant", "tool", "function"]);
export type Role = z.infer<typeof Role>;

/** A content part as OpenAI defines them (text, image_url, input_audio, file, …); unknown kinds pass. */
export const ContentPart = z.looseObject({ type: z.string() });

/** A chat message; unknown fields pass through untouched. */
export const ChatMessage = z.looseObject({
  role: Role,
  content: z.union([z.string(), z.array(ContentPart), z.null()]).optional(),
});
export type ChatMessage = z.infer<typeof ChatMessage>;

export const Tool = z.looseObject({ type: z.string() });

export const ToolChoice = z.union([
  z.enum(["none", "auto", "required"]),
  z.looseObject({ type: z.literal("function"), function: z.looseObject({ name: z.string().min(1) }) }),
  // Kinds beside functions are the upstream's to know.
  z.looseObject({ type: z.string().refine((type) => type !== "function", { message: "needs a `function.name`" }) }),
]);

export const ResponseFormat = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("text") }),
  z.looseObject({ type: z.literal("json_object") }),
  z.looseObject({
    type: z.literal("json_schema"),
    json_schema: z.looseObject({ name: z.string().min(1).max(64), schema: JsonObject.optional() }),
  }),
]);
export type ResponseFormat = z.infer<typeof ResponseFormat>;

/**
 * The optional parameters of a completion with their ranges (names as on the wire, absent stays absent).
 * `tools`, `tool_choice` and `response_format` stand apart because a template version holds them apart.
 */
export const SamplingParams = z.object({
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().min(0).max(1).optional(),
  top_k: z.number().int().min(0).optional(),
  frequency_penalty: z.number().min(-2).max(2).optional(),
  presence_penalty: z.number().min(-2).max(2).optional(),
  repetition_penalty: z.number().min(0).max(2).optional(),
  min_p: z.number().min(0).max(1).optional(),
  top_a: z.number().min(0).max(1).optional(),
  seed: z.number().int().optional(),
  max_tokens: z.number().int().min(1).optional(),
  logit_bias: z.record(z.string(), z.number()).optional(),
  logprobs: z.boolean().optional(),
  top_logprobs: z.number().int().min(0).max(20).optional(),
  structured_outputs: z.boolean().optional(),
  stop: z.union([z.string(), z.array(z.string())]).optional(),
  parallel_tool_calls: z.boolean().optional(),
  verbosity: z.enum(["low", "medium", "high"]).optional(),
});
export type SamplingParams = z.infer<typeof SamplingParams>;

export const CompletionParams = SamplingParams.extend({
  tools: z.array(Tool).optional(),
  tool_choice: ToolChoice.optional(),
  response_format: ResponseFormat.optional(),
});
export type CompletionParams = z.infer<typeof CompletionParams>;

/** Models that stand in for one that fails, in order. */
export const Fallbacks = z.array(z.string().min(1).max(limits.maxNameChars)).max(limits.maxFallbacks);

const timeout = z.number().int().min(limits.minTimeoutMs).max(limits.maxTimeoutMs).optional();

/** Timers of one call instead of the environment's, ms. */
export const CallTimeouts = z.strictObject({
  headersMs: timeout,
  firstTokenMs: timeout,
  idleMs: timeout,
  totalMs: timeout,
});
export type CallTimeouts = z.infer<typeof CallTimeouts>;

/** A caller's notes on a run. */
export const Metadata = z
  .record(z.string().min(1).max(limits.maxMetadataKeyChars), z.string().max(limits.maxMetadataValueChars))
  .refine((pairs) => Object.keys(pairs).length <= limits.maxMetadataPairs, {
    message: `at most ${limits.maxMetadataPairs} pairs`,
  });
export type Metadata = z.infer<typeof Metadata>;
