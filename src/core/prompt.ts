import type { ChatMessage, JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import type { UsedPartial, Variables, VersionContent } from "../contract/templates.ts";
import { AppError } from "./errors.ts";
import { parseMustache, type TemplateNode } from "./mustache.ts";
import { newRendering, type Partial, renderNodes } from "./render.ts";
import { isPlaceholder, mapTexts, type TemplateText, templateTexts } from "./templateTexts.ts";
import { completeVariables } from "./variables.ts";
import { type VariableUse, variableUses } from "./variableUses.ts";

/** A version with all it needs to be rendered. */
export type ResolvedTemplate = {
  templateId: string;
  name: string;
  kind: "chat" | "text";
  listed: boolean;
  archived: boolean;
  version: number;
  versionId: string;
  /** The label it was asked for by; null when by number. */
  label: string | null;
  content: VersionContent;
  /** The schema in force. */
  variables: JsonObject;
  /** By reference as written, e.g. `sig@production`. */
  partials: ReadonlyMap<string, Partial>;
};

export type RenderedPrompt = {
  messages: ChatMessage[];
  /** Present for a text template. */
  text?: string;
  /** As given, with the schema's defaults. */
  variables: Variables;
  /** Snippets that the rendering used. */
  partials: UsedPartial[];
};

type Parsed = {
  /** By the text itself. */
  texts: Map<string, TemplateNode[]>;
  partials: Map<string, TemplateNode[]>;
  uses: readonly VariableUse[];
};

// Resolved templates are cached in the isolate; their parsed texts live exactly as long.
const parsedTemplates = new WeakMap<ResolvedTemplate, Parsed>();

function parsedOf(resolved: ResolvedTemplate): Parsed {
  const known = parsedTemplates.get(resolved);
  if (known) return known;
  const texts = templateTexts(resolved.content).map(({ path, text }) => {
    const source = { template: resolved.name, param: `content.${path}` };
    return { text, source, nodes: parseMustache(text, source) };
  });
  const parsed: Parsed = {
    texts: new Map(texts.map(({ text, nodes }) => [text, nodes])),
    partials: new Map(),
    uses: variableUses(texts, resolved.partials),
  };
  parsedTemplates.set(resolved, parsed);
  return parsed;
}

/**
 * Renders a whole version. The caller's messages go in, untouched, at the first placeholder, or after the template's
 * messages when there is none; other placeholders vanish. A text template becomes one user message before them. Values
 * end up inside texts only: they add no message and change no role. Throws `invalid_request` naming `variables.PATH`,
 * `too_large` beyond the bounds.
 */
export function renderPrompt(
  resolved: ResolvedTemplate,
  variables: Variables,
  messages: readonly ChatMessage[] = [],
): RenderedPrompt {
  const parsed = parsedOf(resolved);
  const complete = completeVariables(resolved.variables, variables, parsed.uses);
  const rendering = newRendering(resolved.variables, resolved.partials, parsed.partials);
  const render = ({ path, text }: TemplateText) =>
    renderNodes(parsed.texts.get(text) ?? [], complete, {
      rendering,
      source: { template: resolved.name, param: `content.${path}` },
    });
  const { content } = resolved;
  const text = content.text === undefined ? undefined : render({ path: "text", text: content.text });
  const rendered = text === undefined ? inserted(content, messages, render) : [userMessage(text), ...messages];
  if (rendered.length > limits.maxMessages)
    throw new AppError("invalid_request", `More than ${limits.maxMessages} messages (maxMessages).`, {
      param: "messages",
    });
  return {
    messages: rendered,
    ...(text !== undefined && { text }),
    variables: complete,
    partials: [...rendering.used.values()].map(({ name, version }) => ({ name, version })),
  };
}

function userMessage(content: string): ChatMessage {
  return { role: "user", content };
}

function inserted(
  content: VersionContent,
  history: readonly ChatMessage[],
  render: (text: TemplateText) => string,
): ChatMessage[] {
  const own = content.messages ?? [];
  const first = own.findIndex(isPlaceholder);
  const rendered = own.flatMap((message, index): readonly ChatMessage[] => {
    if (isPlaceholder(message)) return index === first ? history : [];
    if (message.content === undefined) return [message];
    return [{ ...message, content: mapTexts(message.content, `messages.${index}.content`, render) }];
  });
  return first === -1 ? [...rendered, ...history] : rendered;
}
