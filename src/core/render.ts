import type { JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import { AppError } from "./errors.ts";
import { isObject } from "./json.ts";
import {
  invalidTemplate,
  missingSnippet,
  type NamePath,
  type Position,
  parseMustache,
  type Source,
  type TemplateNode,
} from "./mustache.ts";
import { childSchema, isOptional, type SchemaPart, sectionSchema } from "./schemaPaths.ts";

/** A snippet at the version a reference resolved to. */
export type Partial = { name: string; version: number; text: string };

/**
 * One rendering: its bounds count over all the texts it renders. `schema` tells which missing names are optional;
 * `parsed` may be shared by renderings of the same template.
 */
export type Rendering = {
  readonly schema: JsonObject;
  readonly partials: ReadonlyMap<string, Partial>;
  readonly parsed: Map<string, TemplateNode[]>;
  /** Snippets used so far, by name and version. */
  readonly used: Map<string, Partial>;
  nodes: number;
  chars: number;
};

/**
 * What one rendering of a version counts and uses, to be shared by all its texts. `parsed` holds the nodes of snippets
 * by reference and may outlive it.
 */
export function newRendering(
  schema: JsonObject,
  partials: ReadonlyMap<string, Partial>,
  parsed: Map<string, TemplateNode[]> = new Map(),
): Rendering {
  return { schema, partials, parsed, used: new Map(), nodes: 0, chars: 0 };
}

type Frame = { value: unknown; schema: SchemaPart };

/** Where rendering stands: the text it is in, the snippets it came through, and what they put before each line. */
type Place = { source: Source; through: readonly string[]; indent: string };

type Found = { value: unknown; schema: SchemaPart };

/**
 * Renders nodes with `data` (an object of variables) as the outermost context. Strings appear as they are, numbers and
 * booleans as JSON, null as nothing, objects and arrays as compact JSON; values are never parsed. A list or truthy value
 * opens a section; false, null, 0, "" and the empty list close it. Throws `invalid_request` naming a missing variable
 * with template, line and column, `too_large` beyond the bounds.
 */
export function renderNodes(
  nodes: readonly TemplateNode[],
  data: unknown,
  options: { rendering: Rendering; source: Source },
): string {
  const { rendering, source } = options;
  return renderList(nodes, [{ value: data, schema: rendering.schema }], rendering, {
    source,
    through: [source.template],
    indent: "",
  });
}

function renderList(
  nodes: readonly TemplateNode[],
  stack: readonly Frame[],
  rendering: Rendering,
  place: Place,
): string {
  let out = "";
  for (const node of nodes) {
    rendering.nodes += 1;
    if (rendering.nodes > limits.maxRenderNodes) throw tooLarge("maxRenderNodes", "visits more nodes than");
    switch (node.type) {
      case "text":
        out += indented(node, rendering, place.indent);
        break;
      case "variable": {
        const found = lookUp(node.path, stack, rendering.schema);
        if (!("value" in found)) throw missing(node.path, node.at, place);
        out += counted(textOf(found.value), rendering);
        break;
      }
      case "section":
      case "inverted": {
        const found = lookUp(node.path, stack, rendering.schema);
        if (!("value" in found) && !found.optional) throw missing(node.path, node.at, place);
        const { value, schema } = "value" in found ? found : { value: null, schema: undefined };
        const closed = !value || (Array.isArray(value) && value.length === 0);
        if (node.type === "inverted") {
          if (closed) out += renderList(node.children, stack, rendering, place);
          break;
        }
        if (closed) break;
        const inner = sectionSchema(schema, rendering.schema);
        for (const item of Array.isArray(value) ? value : [value])
          out += renderList(node.children, [...stack, { value: item, schema: inner }], rendering, place);
        break;
      }
      case "partial":
        out += renderPartial(node, stack, rendering, place);
        break;
    }
  }
  return out;
}

function renderPartial(
  node: TemplateNode & { type: "partial" },
  stack: readonly Frame[],
  rendering: Rendering,
  place: Place,
): string {
  const partial = rendering.partials.get(node.reference);
  if (!partial) throw missingSnippet(node.reference, place.source, node.at);
  const through = [...place.through, partial.name];
  if (place.through.includes(partial.name))
    throw invalidTemplate(`partials include each other: ${through.join(" → ")}`, place.source, node.at);
  if (through.length - 1 > limits.maxPartialDepth)
    throw invalidTemplate(
      `partials nest deeper than ${limits.maxPartialDepth}: ${through.join(" → ")}`,
      place.source,
      node.at,
    );
  const source = { template: partial.name, param: place.source.param };
  const children = rendering.parsed.get(node.reference) ?? parseMustache(partial.text, source);
  rendering.parsed.set(node.reference, children);
  rendering.used.set(`${partial.name}@${partial.version}`, partial);
  const indent = node.indent === null ? "" : place.indent + node.indent;
  return renderList(children, stack, rendering, { source, through, indent });
}

/** The Mustache context stack: the first segment is sought outwards, the others only inside what it named. */
function lookUp(path: NamePath, stack: readonly Frame[], root: JsonObject): Found | { optional: boolean } {
  const [first, ...rest] = path;
  if (first === undefined) return stack.at(-1) ?? { optional: false };
  let found: Found | undefined;
  for (let index = stack.length - 1; index >= 0 && !found; index -= 1) {
    const frame = stack[index];
    if (isObject(frame?.value) && Object.hasOwn(frame.value, first))
      found = { value: frame.value[first], schema: childSchema(frame.schema, first, root) };
  }
  if (!found) {
    const declared = stack.map((frame) => isOptional(frame.schema, first, root)).filter((known) => known !== undefined);
    return { optional: declared.at(-1) ?? false };
  }
  for (const segment of rest) {
    const inside = own(found.value, segment);
    if (!inside) return { optional: isOptional(found.schema, segment, root) ?? false };
    found = { value: inside.value, schema: childSchema(found.schema, segment, root) };
  }
  return found;
}

/** A property of the value's own, or an element of a list by its index. */
function own(holder: unknown, name: string): { value: unknown } | undefined {
  if (Array.isArray(holder))
    return /^\d+$/.test(name) && Number(name) < holder.length ? { value: holder[Number(name)] } : undefined;
  return isObject(holder) && Object.hasOwn(holder, name) ? { value: holder[name] } : undefined;
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  return value === null ? "" : (JSON.stringify(value) ?? "");
}

function counted(text: string, rendering: Rendering): string {
  count(text.length, rendering);
  return text;
}

function count(chars: number, rendering: Rendering): void {
  rendering.chars += chars;
  if (rendering.chars > limits.maxRenderedChars) throw tooLarge("maxRenderedChars", "is longer than");
}

/** A line's beginning inside a text; blank lines get no indentation. */
const lineStart = /\n(?=[^\n])/g;

/** Counted before it is made: many lines times a wide indentation would not fit into memory. */
function indented(node: TemplateNode & { type: "text" }, rendering: Rendering, indent: string): string {
  if (indent === "") return counted(node.text, rendering);
  const lines = (node.text.match(lineStart)?.length ?? 0) + (node.opensLine ? 1 : 0);
  count(node.text.length + lines * indent.length, rendering);
  return (node.opensLine ? indent : "") + node.text.replace(lineStart, `\n${indent}`);
}

function tooLarge(limit: "maxRenderNodes" | "maxRenderedChars", what: string): AppError {
  return new AppError("too_large", `The rendered template ${what} ${limits[limit]} (${limit}).`, {
    param: "variables",
    details: { limit, max: limits[limit] },
  });
}

/** The error of a variable that the text needs and nobody gave. */
export function missingVariable(name: string, template: string, at: Position): AppError {
  return new AppError(
    "invalid_request",
    `The variable "${name}" is missing (template "${template}", line ${at.line}, column ${at.column}).`,
    { param: `variables.${name}`, details: { template, line: at.line, column: at.column } },
  );
}

function missing(path: NamePath, at: Position, place: Place): AppError {
  return missingVariable(path.join("."), place.source.template, at);
}
