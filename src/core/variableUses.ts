import type { JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import { AppError } from "./errors.ts";
import {
  invalidTemplate,
  type NamePath,
  type Position,
  parseMustache,
  type Source,
  type TemplateNode,
} from "./mustache.ts";
import type { Partial } from "./render.ts";
import { childSchema, type SchemaPart, sectionSchema } from "./schemaPaths.ts";

/** A parsed text and where it came from. */
export type ParsedText = { nodes: readonly TemplateNode[]; source: Source };

/** One appearance of a name, with the sections around it, outermost first. */
export type VariableUse = {
  kind: "variable" | "section" | "inverted";
  path: NamePath;
  within: readonly NamePath[];
  /** Inside a section or an inverted one: rendered perhaps not at all. */
  conditional: boolean;
  /** A section in which `{{.}}` appears. */
  iterates: boolean;
  template: string;
  param: string;
  at: Position;
};

type Around = { within: readonly NamePath[]; conditional: boolean };

/**
 * Every use of a variable in the texts and the snippets they include, in reading order; `{{.}}` is not one. Throws
 * `too_large` when snippets multiply beyond what a rendering may visit.
 */
export function variableUses(texts: readonly ParsedText[], partials: ReadonlyMap<string, Partial>): VariableUse[] {
  const uses: VariableUse[] = [];
  // A snippet used twice in the same surroundings adds nothing; this also ends cycles.
  const seen = new Set<string>();
  const parsed = new Map<string, readonly TemplateNode[]>();
  let visited = 0;
  const walk = (nodes: readonly TemplateNode[], source: Source, around: Around) => {
    for (const node of nodes) {
      if (node.type === "text") continue;
      visited += 1;
      // Snippets inside sections inside snippets multiply.
      if (visited > limits.maxRenderNodes)
        throw new AppError("too_large", `The template has more than ${limits.maxRenderNodes} tags (maxRenderNodes).`, {
          param: source.param,
          details: { limit: "maxRenderNodes", max: limits.maxRenderNodes },
        });
      if (node.type === "partial") {
        const partial = partials.get(node.reference);
        const key = JSON.stringify([node.reference, around]);
        if (!partial || seen.has(key)) continue;
        seen.add(key);
        const inner = { template: partial.name, param: source.param };
        const nodes = parsed.get(node.reference) ?? parseMustache(partial.text, inner);
        parsed.set(node.reference, nodes);
        walk(nodes, inner, around);
        continue;
      }
      const { template, param } = source;
      const iterates = node.type === "section" && node.children.some(isIterator);
      if (node.path.length > 0)
        uses.push({ kind: node.type, path: node.path, ...around, iterates, template, param, at: node.at });
      if (node.type === "variable") continue;
      const within = node.type === "section" ? [...around.within, node.path] : around.within;
      walk(node.children, source, { within, conditional: true });
    }
  };
  for (const { nodes, source } of texts) walk(nodes, source, { within: [], conditional: false });
  return uses;
}

function isIterator(node: TemplateNode): boolean {
  return (node.type === "variable" || node.type === "section") && node.path.length === 0;
}

/** Refuses (`invalid_template`, with the place) a text that uses a name which `schema` does not declare. */
export function assertDeclared(uses: readonly VariableUse[], schema: JsonObject): void {
  for (const use of uses) {
    const stack: SchemaPart[] = [schema];
    for (const section of use.within) stack.push(sectionSchema(resolve(section, stack, schema), schema));
    if (resolve(use.path, stack, schema) === undefined)
      throw invalidTemplate(
        `the variable "${use.path.join(".")}" is not declared in the variables' schema`,
        { template: use.template, param: use.param },
        use.at,
      );
  }
}

function resolve(path: NamePath, stack: readonly SchemaPart[], root: JsonObject): SchemaPart {
  const [first, ...rest] = path;
  if (first === undefined) return stack.at(-1);
  let found: SchemaPart;
  for (let index = stack.length - 1; index >= 0 && found === undefined; index -= 1)
    found = childSchema(stack[index], first, root);
  for (const segment of rest) found = childSchema(found, segment, root);
  return found;
}
