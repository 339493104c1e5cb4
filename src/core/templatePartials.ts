import { limits } from "../contract/limits.ts";
import { Selector } from "../contract/templates.ts";
import {
  invalidTemplate,
  missingSnippet,
  type Position,
  parseMustache,
  type Source,
  type TemplateNode,
} from "./mustache.ts";
import type { Partial } from "./render.ts";
import type { FindVersions, FoundVersion, VersionReference } from "./templatePorts.ts";
import type { ParsedText } from "./variableUses.ts";

/** One partial tag: whom it names and where it stands. */
type Include = { reference: string; name: string; source: Source; at: Position };

/** The reference of a partial tag, taken apart. No selector means `production`. */
export function partialReference(written: string): VersionReference {
  const [name = "", selector = "production"] = written.split("@");
  return { name, selector: Selector.parse(/^\d+$/.test(selector) ? Number(selector) : selector) };
}

/**
 * The snippets that `texts` of the template `name` include, directly or through others, by reference as written: one
 * look-up per level. Throws `not_found` at the tag that names a missing snippet, `invalid_template` at one that names a
 * chat template, closes a cycle (naming the path) or nests too deep.
 */
export async function loadPartials(
  find: FindVersions,
  projectId: string,
  root: { name: string; texts: readonly ParsedText[] },
): Promise<Map<string, Partial>> {
  const partials = new Map<string, Partial>();
  const includes = new Map<string, Include[]>([[root.name, root.texts.flatMap(includesOf)]]);
  let level = includes.get(root.name) ?? [];
  while (level.length > 0) {
    // The root itself need not be stored yet; that it is included is the cycle reported below.
    const wanted = new Map(level.map((include) => [include.reference, include]));
    const asked = [...wanted.values()].filter(({ reference, name }) => !partials.has(reference) && name !== root.name);
    if (partials.size + asked.length > limits.maxPartials && asked[0])
      throw invalidTemplate(`more than ${limits.maxPartials} different partials`, asked[0].source, asked[0].at);
    if (asked.length === 0) break;
    const found = await find(
      projectId,
      asked.map(({ reference }) => partialReference(reference)),
    );
    level = asked.flatMap((include, index) => {
      const partial = snippetOf(found[index] ?? null, include);
      partials.set(include.reference, partial);
      const source = { template: partial.name, param: include.source.param };
      const inner = includesOf({ nodes: parseMustache(partial.text, source), source });
      includes.set(partial.name, [...(includes.get(partial.name) ?? []), ...inner]);
      return inner;
    });
  }
  assertNesting(root.name, includes);
  return partials;
}

function includesOf({ nodes, source }: ParsedText): Include[] {
  return nodes.flatMap((node: TemplateNode): Include[] => {
    if (node.type === "section" || node.type === "inverted") return includesOf({ nodes: node.children, source });
    if (node.type !== "partial") return [];
    return [{ reference: node.reference, name: partialReference(node.reference).name, source, at: node.at }];
  });
}

function snippetOf(found: FoundVersion | null, { reference, source, at }: Include): Partial {
  if (!found?.version || found.template.archived) throw missingSnippet(reference, source, at);
  const { name, version, content } = { name: found.template.name, ...found.version };
  if (content.text === undefined)
    throw invalidTemplate(`"${reference}" is a chat template; only text templates can be included`, source, at);
  return { name, version, text: content.text };
}

/** Partials form a graph of names; walks it once, each name after all that it includes. */
function assertNesting(root: string, includes: ReadonlyMap<string, readonly Include[]>): void {
  const longest = new Map<string, readonly string[]>();
  const visit = (name: string, trail: readonly string[]): readonly string[] => {
    let below: readonly string[] = [];
    for (const include of includes.get(name) ?? []) {
      const path = [...trail, include.name];
      if (trail.includes(include.name))
        throw invalidTemplate(`partials include each other: ${path.join(" → ")}`, include.source, include.at);
      const chain = [include.name, ...(longest.get(include.name) ?? visit(include.name, path))];
      if (chain.length > limits.maxPartialDepth)
        throw invalidTemplate(
          `partials nest deeper than ${limits.maxPartialDepth}: ${[name, ...chain].join(" → ")}`,
          include.source,
          include.at,
        );
      if (chain.length > below.length) below = chain;
    }
    longest.set(name, below);
    return below;
  };
  visit(root, [root]);
}
