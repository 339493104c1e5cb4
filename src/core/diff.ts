import { diffLines } from "diff";
import { limits } from "../contract/limits.ts";
import type { VersionContent, VersionDiff } from "../contract/templates.ts";
import { isObject } from "./json.ts";
import { isPlaceholder, templateTexts } from "./templateTexts.ts";

type Change = VersionDiff["changes"][number];

/** The fields in which two contents differ, by dotted path; lists are compared by position. */
export function contentChanges(before: VersionContent, after: VersionContent): Change[] {
  return changes(before, after, "");
}

function changes(before: unknown, after: unknown, path: string): Change[] {
  if (before === undefined && after === undefined) return [];
  if (before === undefined) return [{ path, kind: "added", after }];
  if (after === undefined) return [{ path, kind: "removed", before }];
  const bothLists = Array.isArray(before) && Array.isArray(after);
  if (bothLists || (isObject(before) && isObject(after))) {
    const old = new Map<string, unknown>(Object.entries(before));
    const now = new Map<string, unknown>(Object.entries(after));
    return [...new Set([...old.keys(), ...now.keys()])].flatMap((key) =>
      changes(old.get(key), now.get(key), path ? `${path}.${key}` : key),
    );
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, kind: "changed", before, after }];
}

/**
 * Line diff of the texts of two contents: each line begins with a space, `+` or `-`. Messages are headed by their role
 * in brackets. Texts that differ in more than `limits.maxDiffLines` lines are shown as replaced whole. Empty when they
 * are equal.
 */
export function textDiff(before: VersionContent, after: VersionContent): string {
  const old = readable(before);
  const now = readable(after);
  if (old === now) return "";
  const parts = diffLines(old, now, { maxEditLength: limits.maxDiffLines }) ?? [
    { value: old, removed: true, added: false },
    { value: now, removed: false, added: true },
  ];
  return parts
    .flatMap((part) => {
      const sign = part.added ? "+" : part.removed ? "-" : " ";
      return part.value
        .replace(/\n$/, "")
        .split("\n")
        .map((line) => sign + line);
    })
    .join("\n");
}

function readable(content: VersionContent): string {
  if (content.text !== undefined) return `${content.text}\n`;
  return (content.messages ?? [])
    .map((message) => {
      if (isPlaceholder(message)) return `[placeholder ${message.name}]\n`;
      const texts = templateTexts({ messages: [message] }).map(({ text }) => `${text}\n`);
      return `[${message.role}]\n${texts.join("")}`;
    })
    .join("");
}
