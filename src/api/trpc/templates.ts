import {
  CreateTemplateInput,
  DiffVersionsInput,
  GetTemplateInput,
  LabelHistoryInput,
  LabelMove,
  LabelMovePage,
  ListTemplatesInput,
  ListVersionsInput,
  MoveLabelInput,
  RenderedTemplate,
  RenderTemplateInput,
  SavedVersion,
  SaveTemplateInput,
  Template,
  TemplateNameInput,
  TemplatePage,
  TemplateWithVersion,
  VersionDiff,
  VersionPage,
} from "../../contract/templates.ts";
import { procedure, router } from "./init.ts";

const readable = procedure("templates:read");
const writable = procedure("templates:write");

export const templatesRouter = router({
  /**
   * Stores a new template; its first version gets the label `production`. Errors: `conflict` when the name is taken,
   * `invalid_template` with template, line and column, `not_found` for a snippet it includes, `too_large`.
   */
  create: writable
    .input(CreateTemplateInput)
    .output(SavedVersion)
    .mutation(({ ctx, input }) => ctx.useCases.templates.create(ctx.principal, input)),

  /**
   * Adds a version. Identical contents return the version that holds them, with `created: false`. Errors as for
   * `create`; `conflict` when `baseVersion` is not the latest version.
   */
  save: writable
    .input(SaveTemplateInput)
    .output(SavedVersion)
    .mutation(({ ctx, input }) => ctx.useCases.templates.save(ctx.principal, input)),

  /** One version by number, label or `latest`; the label `production` when none is named. Archived ones too. */
  get: readable
    .input(GetTemplateInput)
    .output(TemplateWithVersion)
    .query(({ ctx, input }) => ctx.useCases.templates.get(ctx.principal, input)),

  /** By name; the archived ones alone when `archived` is set, else the others alone. */
  list: readable
    .input(ListTemplatesInput)
    .output(TemplatePage)
    .query(({ ctx, input }) => ctx.useCases.templates.list(ctx.principal, input)),

  /** A template's versions without their contents, newest first. */
  versions: readable
    .input(ListVersionsInput)
    .output(VersionPage)
    .query(({ ctx, input }) => ctx.useCases.templates.versions(ctx.principal, input)),

  /** What changed between two versions, field by field and line by line, and what of it breaks callers. */
  diff: readable
    .input(DiffVersionsInput)
    .output(VersionDiff)
    .query(({ ctx, input }) => ctx.useCases.templates.diff(ctx.principal, input)),

  /**
   * Points a label to a version. `conflict` when it is not at `expectedVersion` any more, or when the move would break
   * callers (`details.breaking` lists how) and `allowBreaking` is not set.
   */
  label: writable
    .input(MoveLabelInput)
    .output(LabelMove)
    .mutation(({ ctx, input }) => ctx.useCases.templates.label(ctx.principal, input)),

  /** Who moved which label when, newest first. */
  labelHistory: readable
    .input(LabelHistoryInput)
    .output(LabelMovePage)
    .query(({ ctx, input }) => ctx.useCases.templates.labelHistory(ctx.principal, input)),

  /**
   * What a completion would send for these variables, of a stored version or of contents not yet saved. It changes
   * nothing; a mutation because its input belongs into a body, not into a URL of at most 16 KB.
   */
  render: readable
    .input(RenderTemplateInput)
    .output(RenderedTemplate)
    .mutation(({ ctx, input }) => ctx.useCases.templates.render(ctx.principal, input)),

  /** Takes a template out of use: running it is `not_found`, reading it is not. Archiving again changes nothing. */
  archive: writable
    .input(TemplateNameInput)
    .output(Template)
    .mutation(({ ctx, input }) => ctx.useCases.templates.archive(ctx.principal, input)),

  /** Brings an archived template back with its versions and labels. */
  restore: writable
    .input(TemplateNameInput)
    .output(Template)
    .mutation(({ ctx, input }) => ctx.useCases.templates.restore(ctx.principal, input)),
});
