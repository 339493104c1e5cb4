import Mustache from "mustache";
import { limits } from "../contract/limits.ts";
import { AppError } from "./errors.ts";
import { findFault } from "./mustacheFault.ts";

/** Counted from 1; columns in UTF-16 units. */
export type Position = { line: number; column: number };

/** Which text is meant: the template's name for people, the input field for programs. */
export type Source = { template: string; param: string };

/** A dotted name in segments; empty for the implicit iterator `{{.}}`. */
export type NamePath = readonly string[];

export type TemplateNode =
  /** `opensLine`: a snippet's indentation goes before it; empty where a tag opens the line. */
  | { type: "text"; text: string; opensLine: boolean }
  | { type: "variable"; path: NamePath; at: Position }
  | { type: "section" | "inverted"; path: NamePath; children: TemplateNode[]; at: Position }
  /** `reference` as written (`sig`, `sig@production`, `sig@3`); `indent` goes before each line; null: not alone on its line. */
  | { type: "partial"; reference: string; indent: string | null; at: Position };

/** Names that would reach into JavaScript's object model. */
export const forbiddenNames: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

const nameSegment = /^[\p{L}\p{M}\p{N}_$-]+$/u;

/** Whether a variable can have this name, as one segment of a dotted path. */
export function isVariableName(name: string): boolean {
  return nameSegment.test(name) && !forbiddenNames.has(name);
}

/** How a partial is written: NAME, NAME@LABEL, NAME@NUMBER. */
const partialReference = /^[a-z0-9](?:[a-z0-9_./-]{0,98}[a-z0-9])?(?:@(?:[a-z][a-z0-9_.-]{0,63}|[1-9][0-9]{0,8}))?$/;

/** A refusal that names template, line and column. */
export function invalidTemplate(message: string, source: Source, at: Position): AppError {
  return errorAt("invalid_template", message, source, at);
}

/** The refusal of a partial tag whose snippet is not there, or not the caller's. */
export function missingSnippet(reference: string, source: Source, at: Position): AppError {
  return errorAt("not_found", `there is no snippet "${reference}"`, source, at);
}

function errorAt(code: "invalid_template" | "not_found", message: string, source: Source, at: Position): AppError {
  const details = { template: source.template, line: at.line, column: at.column };
  const place = `template "${details.template}", line ${details.line}, column ${details.column}`;
  return new AppError(code, `${message} (${place})`, { param: source.param, details });
}

// The library's default writer keeps every text it ever parsed; this one keeps none.
const parser = new Mustache.Writer() as InstanceType<typeof Mustache.Writer> & { templateCache: unknown };
parser.templateCache = undefined;

/** The library's token: kind, value, start, end; for sections also children and the start of the closing tag. */
type Token = readonly [
  kind: string,
  value: string,
  start: number,
  end: number,
  children?: readonly Token[],
  close?: number,
];

type Tag = { kind: string; value: string; start: number; end: number };

/** Parses a Mustache text into typed nodes. Throws `invalid_template`. */
export function parseMustache(text: string, source: Source): TemplateNode[] {
  const positionOf = positions(text);
  const blank = new RegExp(`\\s{${limits.maxBlankRunChars + 1}}`).exec(text);
  if (blank)
    throw invalidTemplate(
      `more than ${limits.maxBlankRunChars} white space characters in a row`,
      source,
      positionOf(blank.index),
    );
  let tokens: readonly Token[];
  try {
    tokens = parser.parse(text, ["{{", "}}"]) as readonly Token[];
  } catch (error) {
    const fault = findFault(text, error);
    throw invalidTemplate(fault.message, source, positionOf(fault.index));
  }
  return nest(text, flatten(text, tokens), (tag) => positionOf(tag.start), source);
}

/** All tags in the order of the text, closing tags included; text is read from the source itself. */
function flatten(text: string, tokens: readonly Token[]): Tag[] {
  const tags: Tag[] = [];
  let opener = "{{";
  let closer = "}}";
  const walk = (list: readonly Token[]) => {
    for (const [kind, value, start, end, children, close] of list) {
      if (kind === "text") continue;
      tags.push({ kind, value, start, end });
      if (kind === "=") [opener = opener, closer = closer] = value.trim().split(/\s+/);
      if ((kind !== "#" && kind !== "^") || !children || close === undefined) continue;
      walk(children);
      tags.push({ kind: "/", value, start: close, end: text.indexOf(closer, close + opener.length) + closer.length });
    }
  };
  walk(tokens);
  return tags;
}

type Open = { children: TemplateNode[] };

function nest(text: string, tags: readonly Tag[], positionOf: (tag: Tag) => Position, source: Source): TemplateNode[] {
  const root: Open = { children: [] };
  const stack: Open[] = [root];
  let from = 0;
  for (const tag of tags) {
    const extent = extentOf(text, tag);
    const { children } = stack.at(-1) ?? root;
    children.push(...textNodes(text, from, extent.start));
    if (extent === tag && opensLine(text, tag.start)) children.push({ type: "text", text: "", opensLine: true });
    from = extent.end;
    const at = positionOf(tag);
    switch (tag.kind) {
      case "!":
      case "=":
        break;
      case "/":
        stack.pop();
        break;
      case ">":
        if (!partialReference.test(tag.value))
          throw invalidTemplate(`"${tag.value}" is not a partial's name, NAME@LABEL or NAME@VERSION`, source, at);
        children.push({
          type: "partial",
          reference: tag.value,
          indent: extent === tag ? null : text.slice(extent.start, tag.start),
          at,
        });
        break;
      case "#":
      case "^": {
        const type = tag.kind === "#" ? "section" : "inverted";
        const opened: Open = { children: [] };
        if (stack.length > limits.maxSectionDepth)
          throw invalidTemplate(`sections nest deeper than ${limits.maxSectionDepth}`, source, at);
        children.push({ type, path: pathOf(tag.value, source, at), children: opened.children, at });
        stack.push(opened);
        break;
      }
      default:
        children.push({ type: "variable", path: pathOf(tag.value, source, at), at });
    }
  }
  root.children.push(...textNodes(text, from, text.length));
  return root.children;
}

function textNodes(text: string, from: number, to: number): TemplateNode[] {
  if (from >= to) return [];
  return [{ type: "text", text: text.slice(from, to), opensLine: opensLine(text, from) && text[from] !== "\n" }];
}

function opensLine(text: string, index: number): boolean {
  return index === 0 || text[index - 1] === "\n";
}

/**
 * What a tag takes out of the text. A tag that prints nothing and stands alone on its line takes the line with it.
 * Decided here by the Mustache specification: the library also drops lines that hold several such tags.
 */
function extentOf(text: string, tag: Tag): { start: number; end: number } {
  if (!"#^/>!=".includes(tag.kind)) return tag;
  let { start, end } = tag;
  while (start > 0 && isBlank(text[start - 1])) start -= 1;
  if (start > 0 && text[start - 1] !== "\n") return tag;
  while (end < text.length && isBlank(text[end])) end += 1;
  if (end === text.length) return { start, end };
  return text[end] === "\n" ? { start, end: end + 1 } : tag;
}

function isBlank(char: string | undefined): boolean {
  return char === " " || char === "\t" || char === "\r";
}

function pathOf(name: string, source: Source, at: Position): NamePath {
  if (name === ".") return [];
  const path = name.split(".");
  for (const segment of path) {
    if (forbiddenNames.has(segment)) throw invalidTemplate(`the name "${segment}" is not allowed`, source, at);
    if (!nameSegment.test(segment)) throw invalidTemplate(`"${name}" is not a variable's name`, source, at);
  }
  return path;
}

/** Index → line and column; asked in rising order, so that the text is walked once. */
function positions(text: string): (index: number) => Position {
  let line = 1;
  let lineStart = 0;
  let lineEnd = text.indexOf("\n");
  return (index) => {
    while (lineEnd >= 0 && lineEnd < index) {
      line += 1;
      lineStart = lineEnd + 1;
      lineEnd = text.indexOf("\n", lineStart);
    }
    return { line, column: index - lineStart + 1 };
  };
}
