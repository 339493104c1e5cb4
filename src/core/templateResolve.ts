import type { Selector, TemplateWithVersion } from "../contract/templates.ts";
import type { TimedCache } from "./cache.ts";
import { AppError } from "./errors.ts";
import type { ResolvedTemplate } from "./prompt.ts";
import { parsedTexts } from "./templateContent.ts";
import { loadPartials } from "./templatePartials.ts";
import type { FindVersions, VersionReference } from "./templatePorts.ts";
import { inferSchema } from "./variableSchema.ts";
import { variableUses } from "./variableUses.ts";

/** Bytes that a resolved template takes in memory, roughly: its texts and schemas at two bytes a UTF-16 unit. */
export function sizeOfTemplate({ content, variables, partials }: ResolvedTemplate): number {
  const texts = [...partials.values()].reduce((sum, { text }) => sum + text.length, 0);
  return 2 * (JSON.stringify(content).length + JSON.stringify(variables).length + texts);
}

/** What a reference means that names neither version nor label. */
export const defaultLabel = "production";

/** Finds the version a reference means; throws `not_found` naming `nameParam` or `version`. */
export function versionFinder(find: FindVersions) {
  return async (projectId: string, reference: VersionReference, nameParam?: string): Promise<TemplateWithVersion> => {
    const [found] = await find(projectId, [reference]);
    if (!found) throw noTemplate(reference.name, nameParam);
    if (!found.version) throw noVersion(reference);
    return { template: found.template, version: found.version };
  };
}

/**
 * Makes a stored template ready to render. Throws `not_found` naming `template` or `version` (archived ones count as
 * missing), or the text whose snippet has gone. Served from memory up to `limits.maxCacheAgeMs` after a change made
 * through another isolate; else one look-up and one per level of partials.
 */
export function templateResolver(ports: { findVersions: FindVersions; cache: TimedCache<ResolvedTemplate> }) {
  const findVersion = versionFinder(ports.findVersions);
  async function find(projectId: string, name: string, selector: Selector): Promise<ResolvedTemplate> {
    const { template, version } = await findVersion(projectId, { name, selector }, "template");
    if (template.archived) throw noTemplate(name, "template");
    const { content } = version;
    const texts = parsedTexts(name, content);
    const partials = await loadPartials(ports.findVersions, projectId, { name, texts });
    // A snippet's label may have moved since the version was saved: what is inferred follows it.
    const follows = content.variables === undefined && partials.size > 0;
    return {
      templateId: template.id,
      name,
      kind: template.kind,
      listed: template.listed,
      archived: template.archived,
      version: version.version,
      versionId: version.id,
      label: typeof selector === "number" ? null : selector,
      content,
      variables: follows ? inferSchema(variableUses(texts, partials)) : version.variables,
      partials,
    };
  }

  return (projectId: string, name: string, selector: Selector = defaultLabel): Promise<ResolvedTemplate> =>
    ports.cache.recall(`${projectId}\n${name}\n${selector}`, () => find(projectId, name, selector));
}

/** The refusal of a name that the project has no template of. */
export function noTemplate(name: string, param = "name"): AppError {
  return new AppError("not_found", `There is no template named ${name}.`, { param });
}

/** The refusal of a number or label that the template lacks. */
export function noVersion({ name, selector }: VersionReference, param = "version"): AppError {
  const what = typeof selector === "number" ? `version ${selector}` : `label "${selector}"`;
  return new AppError("not_found", `The template "${name}" has no ${what}.`, { param });
}
