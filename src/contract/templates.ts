import * as z from "zod";
import {
  CallTimeouts,
  ChatMessage,
  ContentPart,
  Fallbacks,
  JsonObject,
  ResponseFormat,
  Role,
  SamplingParams,
  Tool,
  ToolChoice,
} from "./chat.ts";
import { limits } from "./limits.ts";
import { PageInput, page } from "./paging.ts";

/** A template's name: lower case, may be grouped by slashes (`support/refund`). */
export const TemplateName = z.string().regex(/^[a-z0-9](?:[a-z0-9_./-]{0,98}[a-z0-9])?$/, {
  message: "lower-case letters, digits, and . _ / - inside; at most 100 characters",
});

/** A label: a movable pointer. `latest` is implied and cannot be moved; digits alone would read as a number. */
export const LabelName = z.string().regex(/^(?!latest$)[a-z][a-z0-9_.-]{0,63}$/, {
  message: "a lower-case letter, then letters, digits, . _ or -; not `latest`",
});

export const VersionNumber = z.number().int().min(1);

/** Version number, label, or `latest`; absent means the label `production`. */
export const Selector = z.union([VersionNumber, LabelName, z.literal("latest")]);
export type Selector = z.infer<typeof Selector>;

/**
 * A message of a template: the texts of its content are Mustache. Unknown fields pass to the upstream as they are, so
 * braces in a tool call's arguments stay braces. Only an assistant that calls tools may have no content.
 */
export const TemplateMessage = z
  .looseObject({
    role: Role,
    content: z.union([z.string(), z.array(ContentPart), z.null()]).optional(),
  })
  .refine((message) => typeof message.content === "string" || Array.isArray(message.content) || callsTools(message), {
    message: "a text or a list of parts; null only beside an assistant's `tool_calls`",
    path: ["content"],
  });
export type TemplateMessage = z.infer<typeof TemplateMessage>;

/** Where the caller's messages (a history) are inserted. */
export const Placeholder = z.strictObject({
  type: z.literal("placeholder"),
  name: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/),
});
export type Placeholder = z.infer<typeof Placeholder>;

function callsTools(message: Record<string, unknown>): boolean {
  const { role, tool_calls: calls, function_call: call } = message;
  return (
    role === "assistant" && ((Array.isArray(calls) && calls.length > 0) || (typeof call === "object" && call !== null))
  );
}

/**
 * What stands in a template's `messages`: of type `placeholder`, or else a message. Not a union, whose errors would
 * name the fields of whichever branch.
 */
const TemplateEntry = z.custom<Placeholder | TemplateMessage>().superRefine((entry, context) => {
  const isPlaceholder = typeof entry === "object" && entry !== null && "type" in entry && entry.type === "placeholder";
  const { error } = (isPlaceholder ? Placeholder : TemplateMessage).safeParse(entry);
  for (const issue of error?.issues ?? []) context.issues.push(issue as z.core.$ZodRawIssue);
});

/** What one immutable version holds: `messages` for a chat template, `text` for a snippet. */
export const VersionContent = z
  .strictObject({
    messages: z.array(TemplateEntry).min(1).max(limits.maxMessages).optional(),
    text: z.string().optional(),
    /** JSON Schema of an object; inferred from the text when absent. */
    variables: JsonObject.optional(),
    model: z.string().min(1).max(200).optional(),
    fallbacks: Fallbacks.optional(),
    timeouts: CallTimeouts.optional(),
    params: SamplingParams.strict().optional(),
    tools: z.array(Tool).optional(),
    toolChoice: ToolChoice.optional(),
    responseFormat: ResponseFormat.optional(),
  })
  .refine((content) => (content.messages === undefined) !== (content.text === undefined), {
    message: "give either `messages` or `text`",
    path: ["messages"],
  });
export type VersionContent = z.infer<typeof VersionContent>;

export const Template = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  kind: z.enum(["chat", "text"]),
  /** Whether publishable keys may run it. */
  listed: z.boolean(),
  archived: z.boolean(),
  latestVersion: VersionNumber,
  /** Label to version number. */
  labels: z.record(z.string(), VersionNumber),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});
export type Template = z.infer<typeof Template>;

export const Version = z.object({
  id: z.string(),
  template: z.string(),
  version: VersionNumber,
  content: VersionContent,
  /** The schema in force: the stored one, or the one inferred from the text. */
  variables: JsonObject,
  note: z.string(),
  createdBy: z.string(),
  createdAt: z.iso.datetime(),
});
export type Version = z.infer<typeof Version>;

export const VersionSummary = Version.omit({ content: true, variables: true }).extend({
  labels: z.array(z.string()),
});
export type VersionSummary = z.infer<typeof VersionSummary>;

/** A change that would break a caller of the version before. */
export const BreakingChange = z.object({
  /** Dotted; `*` is any element of a list; empty: the variables together. */
  variable: z.string(),
  change: z.enum(["required_added", "removed", "type_narrowed"]),
  message: z.string(),
});
export type BreakingChange = z.infer<typeof BreakingChange>;

const note = z.string().max(1_000).default("");

export const CreateTemplateInput = z.strictObject({
  name: TemplateName,
  description: z.string().max(1_000).default(""),
  listed: z.boolean().default(false),
  content: VersionContent,
  note,
});
export const SavedVersion = z.object({
  template: Template,
  version: Version,
  /** False when identical contents were saved already and that version is returned. */
  created: z.boolean(),
});
export type SavedVersion = z.infer<typeof SavedVersion>;

export const SaveTemplateInput = z.strictObject({
  name: TemplateName,
  content: VersionContent,
  /** The version the edit began from; `conflict`, and nothing written, when a newer one exists, whatever it holds. */
  baseVersion: VersionNumber.optional(),
  description: z.string().max(1_000).optional(),
  listed: z.boolean().optional(),
  note,
});

export const GetTemplateInput = z.strictObject({ name: TemplateName, version: Selector.optional() });
export const TemplateWithVersion = z.object({ template: Template, version: Version });
export type TemplateWithVersion = z.infer<typeof TemplateWithVersion>;

export const ListTemplatesInput = PageInput.extend({
  /** How the names wanted begin (`support/`), in either case; a search inside names would read them all. */
  query: z.string().max(100).optional(),
  archived: z.boolean().default(false),
}).strict();
export const TemplatePage = page(Template);

export const ListVersionsInput = PageInput.extend({ name: TemplateName }).strict();
export const VersionPage = page(VersionSummary);

export const DiffVersionsInput = z.strictObject({ name: TemplateName, from: Selector, to: Selector });
export const VersionDiff = z.object({
  from: VersionNumber,
  to: VersionNumber,
  /** One entry per changed field of the content; the path is dotted (`messages.0.content`). */
  changes: z.array(
    z.object({
      path: z.string(),
      kind: z.enum(["added", "removed", "changed"]),
      before: z.unknown().optional(),
      after: z.unknown().optional(),
    }),
  ),
  /** Line diff of the texts, in unified form (lines begin with ` `, `+` or `-`). */
  text: z.string(),
  breaking: z.array(BreakingChange),
});
export type VersionDiff = z.infer<typeof VersionDiff>;

export const MoveLabelInput = z.strictObject({
  name: TemplateName,
  label: LabelName,
  version: VersionNumber,
  /** The version the label should point to now (null: not yet set); `conflict` when it does not. */
  expectedVersion: VersionNumber.nullable().optional(),
  allowBreaking: z.boolean().default(false),
});
export const LabelMove = z.object({
  label: z.string(),
  from: VersionNumber.nullable(),
  to: VersionNumber,
  by: z.string(),
  at: z.iso.datetime(),
  breaking: z.array(BreakingChange),
});
export type LabelMove = z.infer<typeof LabelMove>;

export const LabelHistoryInput = PageInput.extend({
  name: TemplateName,
  label: LabelName.optional(),
}).strict();
export const LabelMovePage = page(LabelMove);

export const Variables = z
  .any()
  // A record would drop this key unseen, while any other unknown variable is an error.
  .superRefine((values, context) => {
    if (typeof values === "object" && values !== null && Object.hasOwn(values, "__proto__"))
      context.addIssue({ code: "custom", path: ["__proto__"], message: "not a name a variable can have" });
  })
  .pipe(z.record(z.string(), z.unknown()))
  .refine((values) => Object.keys(values).length <= limits.maxVariables, {
    message: `at most ${limits.maxVariables} variables`,
  });
export type Variables = z.infer<typeof Variables>;

/** Preview of a stored version, or of `content` not yet saved. */
export const RenderTemplateInput = z
  .strictObject({
    name: TemplateName.optional(),
    version: Selector.optional(),
    content: VersionContent.optional(),
    variables: Variables.default({}),
    messages: z.array(ChatMessage).max(limits.maxMessages).optional(),
  })
  .refine((input) => (input.name === undefined) !== (input.content === undefined), {
    message: "give either `name` or `content`",
    path: ["name"],
  });

/** A snippet's version that a rendering used. */
export const UsedPartial = z.object({ name: z.string(), version: VersionNumber });
export type UsedPartial = z.infer<typeof UsedPartial>;

export const RenderedTemplate = z.object({
  messages: z.array(ChatMessage),
  /** Present for a snippet. */
  text: z.string().optional(),
  variables: Variables,
  partials: z.array(UsedPartial),
  model: z.string().nullable(),
});
export type RenderedTemplate = z.infer<typeof RenderedTemplate>;

export const TemplateNameInput = z.strictObject({ name: TemplateName });

/** How a completion names a stored template, with what it is filled. */
export const TemplateReference = z.strictObject({
  name: TemplateName,
  version: Selector.optional(),
  variables: Variables.default({}),
});
export type TemplateReference = z.infer<typeof TemplateReference>;
