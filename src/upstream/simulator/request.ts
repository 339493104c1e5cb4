import * as z from "zod";
import { ChatMessage, CompletionParams } from "../../contract/chat.ts";
import { limits } from "../../contract/limits.ts";
import { AppError, invalidRequest } from "../../core/errors.ts";
import { fingerprint, type Random, randomFrom } from "./random.ts";

const SimRequest = CompletionParams.extend({
  model: z.string().min(1),
  messages: z.array(ChatMessage).min(1),
  stream: z.boolean().optional(),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).optional(),
  n: z.number().int().min(1).max(limits.maxSimulatedChoices).optional(),
  max_completion_tokens: z.number().int().min(1).optional(),
  /** The simulator's own field: the name under which reasoning is sent, as upstreams differ in it. */
  reasoning_field: z.enum(["reasoning", "reasoning_content"]).optional(),
}).refine((body) => body.top_logprobs === undefined || body.logprobs === true, {
  message: "needs `logprobs: true`",
  path: ["top_logprobs"],
});
type SimRequest = z.infer<typeof SimRequest>;

/** One request as the models see it. */
export type SimCall = {
  body: SimRequest;
  id: string;
  /** Choices for one purpose: repeatable for the same request (or the same `seed`) and `salt`. */
  random(salt: string): Random;
};

/**
 * Reads a chat completion's body; what is wrong with it is an `invalid_request` naming the field. `null` counts
 * as absent. Whether the answer streams is no part of what decides it, so both forms of a request agree.
 */
export async function readCall(request: Request): Promise<SimCall> {
  const json: unknown = await request.json().catch((cause: unknown) => {
    throw new AppError("invalid_request", "The body is not valid JSON.", { cause });
  });
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new AppError("invalid_request", "The body must be a JSON object.");
  }
  const given = Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null));
  const parsed = SimRequest.safeParse(given);
  if (!parsed.success) throw invalidRequest(parsed.error);
  const { stream: _stream, stream_options: _options, ...decisive } = given;
  const print = fingerprint(JSON.stringify(decisive));
  const seed = parsed.data.seed === undefined ? print : `seed ${parsed.data.seed}`;
  return {
    body: parsed.data,
    id: `chatcmpl-${randomFrom(`id ${print}`).hex(24)}`,
    random: (salt) => randomFrom(`${salt} ${seed}`),
  };
}

/** A message's text: the string, or its text parts joined. */
export function messageText(message: ChatMessage | undefined): string {
  const content = message?.content ?? "";
  if (typeof content === "string") return content;
  return content.map((part) => (typeof part["text"] === "string" ? part["text"] : "")).join("");
}

/** The text of the last message with role `user`; empty when there is none. */
export function lastUserText(call: SimCall): string {
  return messageText(call.body.messages.findLast((message) => message.role === "user"));
}
