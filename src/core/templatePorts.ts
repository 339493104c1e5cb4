import type { JsonObject } from "../contract/chat.ts";
import type {
  BreakingChange,
  LabelMove,
  Selector,
  Template,
  Version,
  VersionContent,
  VersionSummary,
} from "../contract/templates.ts";

export type VersionReference = { name: string; selector: Selector };

/** A template and the version that a reference led to; null when it has no such version or label. */
export type FoundVersion = { template: Template; version: Version | null };

/** Looks all references up in one round trip; answers in their order, null where the project has no such template. */
export type FindVersions = (
  projectId: string,
  references: readonly VersionReference[],
) => Promise<(FoundVersion | null)[]>;

export type NewVersion = {
  id: string;
  content: VersionContent;
  contentDigest: string;
  variables: JsonObject;
  note: string;
  createdBy: string;
  createdAtMs: number;
};

export type NewTemplate = {
  id: string;
  projectId: string;
  name: string;
  description: string;
  kind: Template["kind"];
  listed: boolean;
  version: NewVersion;
  /** Id in the history of the move that labels the first version `production`. */
  moveId: string;
};

/** Writes template, version 1, label and its history at once; false, and nothing written, when the name is taken. */
export type InsertTemplate = (template: NewTemplate) => Promise<boolean>;

export type VersionEdit = {
  projectId: string;
  templateId: string;
  /** Conflict unless this is the latest; undefined: whichever it is. */
  baseVersion: number | undefined;
  description: string | undefined;
  listed: boolean | undefined;
  version: NewVersion;
};

/**
 * Adds a version under the next number, in one statement, so that concurrent edits get different ones. Identical
 * contents give the version that holds them. Null, and nothing written, when `baseVersion` is stale, even where an
 * older version holds the same.
 */
export type InsertVersion = (edit: VersionEdit) => Promise<{ version: number; created: boolean } | null>;

export type NewLabelMove = {
  id: string;
  projectId: string;
  templateId: string;
  label: string;
  /** The version the label must point to now; null: it must not exist. */
  from: number | null;
  to: number;
  by: string;
  atMs: number;
  breaking: BreakingChange[];
};

/** Moves the label and writes its history at once; false, and nothing written, when it is not at `from` any more. */
export type MoveLabel = (move: NewLabelMove) => Promise<boolean>;

/** By name, beginning after `afterName`; `query` is the beginning of the names wanted. */
export type ListTemplates = (
  projectId: string,
  filter: { query: string | undefined; archived: boolean; afterName: string; limit: number },
) => Promise<Template[]>;

/** Newest first, beginning below `beforeVersion`. */
export type ListVersions = (
  projectId: string,
  template: Template,
  bounds: { beforeVersion: number; limit: number },
) => Promise<VersionSummary[]>;

/** Newest first, beginning below `beforeId`. */
export type ListLabelMoves = (
  projectId: string,
  templateId: string,
  filter: { label: string | undefined; beforeId: string | undefined; limit: number },
) => Promise<{ id: string; move: LabelMove }[]>;

/** False when the project has no template of that name. */
export type SetArchived = (
  projectId: string,
  name: string,
  change: { archived: boolean; atMs: number },
) => Promise<boolean>;

export type TemplateStore = {
  findVersions: FindVersions;
  insertTemplate: InsertTemplate;
  insertVersion: InsertVersion;
  moveLabel: MoveLabel;
  listTemplates: ListTemplates;
  listVersions: ListVersions;
  listLabelMoves: ListLabelMoves;
  setArchived: SetArchived;
};
