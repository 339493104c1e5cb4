import type { CallTimeouts, ChatMessage, JsonObject, Metadata } from "../contract/chat.ts";
import type { ChatCompletionRequest, CreateCompletionInput } from "../contract/completions.ts";
import type { RunSource } from "../contract/runs.ts";
import { Selector, TemplateName, type Variables } from "../contract/templates.ts";
import { AppError, invalidRequest } from "./errors.ts";

/** What every door asks for, in one shape. */
export type CompletionRequest = {
  source: RunSource;
  template: {
    name: string;
    selector: Selector | undefined;
    variables: Variables;
    /** Variables came as strings in the metadata, from a client that can add no fields. */
    inMetadata: boolean;
  } | null;
  messages: ChatMessage[];
  /** Overrides the template's model. */
  model: string | undefined;
  /** Models that stand in, in order; instead of the template's. */
  fallbacks: string[] | undefined;
  timeouts: CallTimeouts | undefined;
  /** Everything else of the upstream's body: parameters, and fields weir does not know. */
  fields: JsonObject;
  metadata: Metadata;
  stream: boolean;
  /** Whether the caller asked for a usage chunk. */
  includeUsage: boolean;
  /** Where template, version and variables stand in the caller's request, for errors. */
  params: { template: string; version: string; variables: string };
};

const templateModel = "template:";

/** An input of `completions.create`, which names a template by its own field. */
export function fromCreateInput(input: CreateCompletionInput): CompletionRequest {
  if (input.model?.startsWith(templateModel))
    throw new AppError("invalid_request", "model: name a template in `template`", { param: "model" });
  const template = input.template
    ? { name: input.template, selector: input.version, variables: input.variables ?? {}, inMetadata: false }
    : null;
  return {
    source: "trpc",
    template,
    messages: input.messages ?? [],
    model: input.model,
    fallbacks: input.fallbacks,
    timeouts: input.timeouts,
    fields: { ...input.params },
    metadata: input.metadata ?? {},
    stream: false,
    includeUsage: false,
    params: { template: "template", version: "version", variables: "variables" },
  };
}

/** A body of the OpenAI door. Metadata and `background` stay with weir; all other fields go upstream as they are. */
export function fromChatRequest(body: ChatCompletionRequest): CompletionRequest {
  const { model, messages, prompt, stream, stream_options, metadata, fallbacks, timeouts, ...rest } = body;
  const { background: _, ...fields } = rest;
  const named = model?.startsWith(templateModel) ? parseTemplateModel(model) : null;
  if (named && prompt)
    throw new AppError("invalid_request", "prompt: `model` names a template already", { param: "prompt" });
  if (!named && !prompt && !messages?.length)
    throw new AppError("invalid_request", "messages: required without a template", { param: "messages" });
  const template = prompt
    ? { name: prompt.id, selector: prompt.version ?? undefined, variables: prompt.variables ?? {}, inMetadata: false }
    : named && { ...named, variables: {}, inMetadata: true };
  return {
    source: "openai",
    template,
    messages: messages ?? [],
    model: named ? undefined : model,
    fallbacks,
    timeouts,
    fields: stream_options && stream ? { ...fields, stream_options } : fields,
    metadata: metadata ?? {},
    stream: stream ?? false,
    includeUsage: stream_options?.include_usage === true,
    params: named
      ? { template: "model", version: "model", variables: "metadata" }
      : { template: "prompt.id", version: "prompt.version", variables: "prompt.variables" },
  };
}

function parseTemplateModel(model: string): { name: string; selector: Selector | undefined } {
  const [name = "", selector, ...more] = model.slice(templateModel.length).split("@");
  const parsedName = TemplateName.safeParse(name);
  if (!parsedName.success) throw invalidRequest(parsedName.error, "model");
  if (selector === undefined) return { name, selector: undefined };
  const parsed = Selector.safeParse(/^[0-9]+$/.test(selector) ? Number(selector) : selector);
  if (!parsed.success || more.length > 0)
    throw new AppError("invalid_request", "model: after @ comes a label or a version number", { param: "model" });
  return { name, selector: parsed.data };
}
