import type { Placeholder, TemplateMessage, VersionContent } from "../contract/templates.ts";
import { isObject } from "./json.ts";

/** One Mustache text of a version, at its dotted path in the contents. */
export type TemplateText = { path: string; text: string };

/** Whether the caller's messages go here; all else in a template's `messages` is a message. */
export function isPlaceholder(message: Placeholder | TemplateMessage): message is Placeholder {
  return message["type"] === "placeholder";
}

/** All texts of a version that are rendered, in order. */
export function templateTexts(content: VersionContent): TemplateText[] {
  if (content.text !== undefined) return [{ path: "text", text: content.text }];
  const texts: TemplateText[] = [];
  for (const [index, message] of (content.messages ?? []).entries())
    if (!isPlaceholder(message))
      mapTexts(message.content, `messages.${index}.content`, (found) => {
        texts.push(found);
        return found.text;
      });
  return texts;
}

/**
 * A message's content with each text replaced. In parts every string is a text, except a `type` at any depth: it says
 * what a part is, which no variable may change.
 */
export function mapTexts<Content>(content: Content, path: string, replace: (text: TemplateText) => string): Content {
  return mapValue(content, path, replace) as Content;
}

function mapValue(value: unknown, path: string, replace: (text: TemplateText) => string): unknown {
  if (typeof value === "string") return replace({ path, text: value });
  if (Array.isArray(value)) return value.map((item, index) => mapValue(item, `${path}.${index}`, replace));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === "type" ? inner : mapValue(inner, `${path}.${key}`, replace),
    ]),
  );
}
