import type * as z from "zod";
import type { Page } from "../contract/paging.ts";
import type {
  CreateTemplateInput,
  DiffVersionsInput,
  GetTemplateInput,
  LabelHistoryInput,
  LabelMove,
  ListTemplatesInput,
  ListVersionsInput,
  MoveLabelInput,
  RenderedTemplate,
  RenderTemplateInput,
  SavedVersion,
  SaveTemplateInput,
  Template,
  TemplateNameInput,
  TemplateWithVersion,
  VersionDiff,
  VersionSummary,
} from "../contract/templates.ts";
import { breakingChanges } from "./breaking.ts";
import type { TimedCache } from "./cache.ts";
import { cursorOf, pageOf, startOf } from "./cursor.ts";
import { contentChanges, textDiff } from "./diff.ts";
import { AppError } from "./errors.ts";
import { newId } from "./ids.ts";
import type { Principal } from "./principal.ts";
import { type ResolvedTemplate, renderPrompt } from "./prompt.ts";
import { checkContent, contentDigest, parsedTexts } from "./templateContent.ts";
import { loadPartials } from "./templatePartials.ts";
import type { NewVersion, TemplateStore } from "./templatePorts.ts";
import { defaultLabel, noTemplate, noVersion, templateResolver, versionFinder } from "./templateResolve.ts";

export type TemplatePorts = TemplateStore & {
  /** Lives as long as the isolate and is measured by `sizeOfTemplate`; entries are at most `limits.maxCacheAgeMs` old. */
  cache: TimedCache<ResolvedTemplate>;
  now: () => number;
};

export type TemplateUseCases = ReturnType<typeof templateUseCases>;

/** Above every version number: where a list of versions begins. */
const beyondAllVersions = Number.MAX_SAFE_INTEGER;

/**
 * Templates of the caller's project: writing, reading, labelling and previewing them, and `resolve` for completions.
 * A name, version or label that the project lacks is `not_found`.
 */
export function templateUseCases(ports: TemplatePorts) {
  const { cache, now } = ports;

  const findVersion = versionFinder(ports.findVersions);
  const resolve = templateResolver(ports);

  async function find(projectId: string, name: string): Promise<Template> {
    return (await findVersion(projectId, { name, selector: "latest" })).template;
  }

  async function newVersion(
    principal: Principal,
    { content, note }: { content: NewVersion["content"]; note: string },
    variables: NewVersion["variables"],
  ): Promise<NewVersion> {
    const createdAtMs = now();
    return {
      id: newId("ver", createdAtMs),
      content,
      contentDigest: await contentDigest(content),
      variables,
      note,
      createdBy: principal.keyId,
      createdAtMs,
    };
  }

  const forget = (principal: Principal) => cache.forget(`${principal.projectId}\n`);

  async function setArchived(principal: Principal, name: string, archived: boolean): Promise<Template> {
    const known = await ports.setArchived(principal.projectId, name, { archived, atMs: now() });
    forget(principal);
    if (!known) throw noTemplate(name);
    return find(principal.projectId, name);
  }

  return {
    resolve,

    /** Stores a new template; its first version gets the label `production`. `conflict` when the name is taken. */
    async create(principal: Principal, input: z.output<typeof CreateTemplateInput>): Promise<SavedVersion> {
      const { projectId } = principal;
      const { name, description, listed } = input;
      const { kind, variables } = await checkContent(ports.findVersions, projectId, input);
      const version = await newVersion(principal, input, variables);
      const ids = { id: newId("tpl", version.createdAtMs), moveId: newId("lbm", version.createdAtMs) };
      const inserted = await ports.insertTemplate({ ...ids, projectId, name, description, listed, kind, version });
      if (!inserted)
        throw new AppError("conflict", `There is a template "${name}" already; archived ones keep their names.`, {
          param: "name",
        });
      forget(principal);
      return { ...(await findVersion(projectId, { name, selector: 1 })), created: true };
    },

    /** Adds a version, or finds the one that holds the same. `conflict` when `baseVersion` is not the latest. */
    async save(principal: Principal, input: z.output<typeof SaveTemplateInput>): Promise<SavedVersion> {
      const { projectId } = principal;
      const { name, description, listed, baseVersion } = input;
      const template = await find(projectId, name);
      assertWritable(template);
      const { kind, variables } = await checkContent(ports.findVersions, projectId, input);
      if (kind !== template.kind)
        throw new AppError("invalid_request", `"${name}" is a ${template.kind} template and stays one.`, {
          param: "content",
        });
      const version = await newVersion(principal, input, variables);
      const saved = await ports.insertVersion({
        projectId,
        templateId: template.id,
        baseVersion,
        description,
        listed,
        version,
      });
      forget(principal);
      if (!saved)
        throw new AppError("conflict", `Version ${baseVersion} is not the latest of "${name}".`, {
          param: "baseVersion",
        });
      return { ...(await findVersion(projectId, { name, selector: saved.version })), created: saved.created };
    },

    /** A version, by default the one labelled `production`; archived templates too. */
    async get(principal: Principal, input: z.output<typeof GetTemplateInput>): Promise<TemplateWithVersion> {
      return findVersion(principal.projectId, { name: input.name, selector: input.version ?? defaultLabel });
    },

    /** By name; either the archived ones or the others. */
    async list(principal: Principal, input: z.output<typeof ListTemplatesInput>): Promise<Page<Template>> {
      const { query, archived, limit } = input;
      const afterName = startOf(input.cursor, "templates") ?? "";
      const rows = await ports.listTemplates(principal.projectId, { query, archived, afterName, limit: limit + 1 });
      return pageOf(rows, limit, (template) => cursorOf("templates", template.name));
    },

    /** Newest first. */
    async versions(principal: Principal, input: z.output<typeof ListVersionsInput>): Promise<Page<VersionSummary>> {
      const { name, limit } = input;
      const beforeVersion = Number(startOf(input.cursor, "versions", /^\d{1,9}$/) ?? beyondAllVersions);
      const template = await find(principal.projectId, name);
      const rows = await ports.listVersions(principal.projectId, template, { beforeVersion, limit: limit + 1 });
      return pageOf(rows, limit, (version) => cursorOf("versions", String(version.version)));
    },

    /** What changed from one version to another, and what of it would break callers. */
    async diff(principal: Principal, input: z.output<typeof DiffVersionsInput>): Promise<VersionDiff> {
      const { name } = input;
      const selectors = [input.from, input.to];
      const found = await ports.findVersions(
        principal.projectId,
        selectors.map((selector) => ({ name, selector })),
      );
      const [before, after] = found.map((one) => one?.version);
      if (!found[0]) throw noTemplate(name);
      if (!before) throw noVersion({ name, selector: input.from }, "from");
      if (!after) throw noVersion({ name, selector: input.to }, "to");
      return {
        from: before.version,
        to: after.version,
        changes: contentChanges(before.content, after.content),
        text: textDiff(before.content, after.content),
        breaking: breakingChanges(before.variables, after.variables),
      };
    },

    /**
     * Moves a label, or sets a new one. `conflict` when it has moved meanwhile, or when the move would break callers
     * of the version it points to now (`details.breaking`) and that is not allowed.
     */
    async label(principal: Principal, input: z.output<typeof MoveLabelInput>): Promise<LabelMove> {
      const { name, label, version: to } = input;
      const [current, target] = await ports.findVersions(principal.projectId, [
        { name, selector: label },
        { name, selector: to },
      ]);
      if (!current || !target) throw noTemplate(name);
      if (!target.version) throw noVersion({ name, selector: to });
      assertWritable(target.template);
      const from = current.version?.version ?? null;
      if (input.expectedVersion !== undefined && input.expectedVersion !== from) throw labelMoved(label);
      const breaking = current.version ? breakingChanges(current.version.variables, target.version.variables) : [];
      const move = { label, from, to, by: principal.keyId, breaking };
      const atMs = now();
      if (from === to) return { ...move, at: new Date(atMs).toISOString() };
      if (breaking.length > 0 && !input.allowBreaking)
        throw new AppError(
          "conflict",
          `Moving "${label}" to version ${to} would break callers; see details.breaking.`,
          {
            param: "version",
            details: { breaking },
          },
        );
      // Snippets may have changed since the version was saved; a label must not close a cycle either.
      const texts = parsedTexts(name, target.version.content);
      await loadPartials(ports.findVersions, principal.projectId, { name, texts });
      const moved = await ports.moveLabel({
        ...move,
        id: newId("lbm", atMs),
        projectId: principal.projectId,
        templateId: target.template.id,
        atMs,
      });
      forget(principal);
      if (!moved) throw labelMoved(label);
      return { ...move, at: new Date(atMs).toISOString() };
    },

    /** Newest first; of one label or of all. */
    async labelHistory(principal: Principal, input: z.output<typeof LabelHistoryInput>): Promise<Page<LabelMove>> {
      const { name, label, limit } = input;
      const beforeId = startOf(input.cursor, "moves");
      const template = await find(principal.projectId, name);
      const rows = await ports.listLabelMoves(principal.projectId, template.id, { label, beforeId, limit: limit + 1 });
      const { items, nextCursor } = pageOf(rows, limit, ({ id }) => cursorOf("moves", id));
      return { items: items.map(({ move }) => move), nextCursor };
    },

    /** What a completion would send, of a stored version or of contents not yet saved. Calls no model. */
    async render(principal: Principal, input: z.output<typeof RenderTemplateInput>): Promise<RenderedTemplate> {
      const resolved = input.content
        ? await unsaved(principal.projectId, input.content)
        : await resolve(principal.projectId, input.name ?? "", input.version);
      const rendered = renderPrompt(resolved, input.variables, input.messages);
      return { ...rendered, model: resolved.content.model ?? null };
    },

    /** Takes a template out of use; it stays readable and can be restored. */
    async archive(principal: Principal, input: z.output<typeof TemplateNameInput>): Promise<Template> {
      return setArchived(principal, input.name, true);
    },

    /** Brings an archived template back into use, as it was. */
    async restore(principal: Principal, input: z.output<typeof TemplateNameInput>): Promise<Template> {
      return setArchived(principal, input.name, false);
    },
  };

  async function unsaved(projectId: string, content: NewVersion["content"]): Promise<ResolvedTemplate> {
    const name = "(unsaved)";
    const checked = await checkContent(ports.findVersions, projectId, { name, content });
    const nowhere = { templateId: "", listed: false, archived: false, version: 0, versionId: "", label: null };
    return { ...nowhere, name, content, ...checked };
  }
}

function assertWritable(template: Template): void {
  if (template.archived)
    throw new AppError("conflict", `"${template.name}" is archived; restore it first.`, { param: "name" });
}

function labelMoved(label: string): AppError {
  return new AppError("conflict", `The label "${label}" does not point where you expected it to.`, {
    param: "expectedVersion",
  });
}
