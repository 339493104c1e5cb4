import { sql } from "drizzle-orm";
import type { Template, Version } from "../contract/templates.ts";
import { templates } from "./schema.ts";

/** A template with its labels and latest version, as `templateColumns` selects it. */
export type TemplateRow = {
  id: string;
  name: string;
  description: string;
  kind: Template["kind"];
  listed: number;
  archivedAt: number | null;
  createdAt: number;
  updatedAt: number;
  latestVersion: number;
  /** JSON: label to version. */
  labels: string;
};

/** The highest version number of the template that a statement reads from `templates`. */
export const latestVersion = sql`(SELECT max(version) FROM template_versions
  WHERE project_id = ${templates.projectId} AND template_id = ${templates.id})`;

/** Reads beside the template one index entry for the latest version, and the template's labels. */
export const templateColumns = sql`
  ${templates.id} AS id, ${templates.name} AS name, ${templates.description} AS description, ${templates.kind} AS kind,
  ${templates.listed} AS listed, ${templates.archivedAt} AS archivedAt, ${templates.createdAt} AS createdAt,
  ${templates.updatedAt} AS updatedAt,
  ${latestVersion} AS latestVersion,
  (SELECT json_group_object(label, version) FROM template_labels
    WHERE project_id = ${templates.projectId} AND template_id = ${templates.id}) AS labels`;

/** The row as the contract shows it. */
export function templateOf(row: TemplateRow): Template {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    kind: row.kind,
    listed: row.listed === 1,
    archived: row.archivedAt !== null,
    latestVersion: row.latestVersion,
    labels: JSON.parse(row.labels),
    createdAt: isoTime(row.createdAt),
    updatedAt: isoTime(row.updatedAt),
  };
}

/** A template with the version that a reference led to; the version's columns are null when it led to none. */
export type FoundRow = TemplateRow & { reference: number } & (VersionRow | { versionId: null });

type VersionRow = {
  versionId: string;
  version: number;
  content: string;
  variables: string;
  note: string;
  createdBy: string;
  versionCreatedAt: number;
};

/** The version as the contract shows it; null where the reference led to none. */
export function versionOf(row: FoundRow): Version | null {
  if (row.versionId === null) return null;
  return {
    id: row.versionId,
    template: row.name,
    version: row.version,
    content: JSON.parse(row.content),
    variables: JSON.parse(row.variables),
    note: row.note,
    createdBy: row.createdBy,
    createdAt: isoTime(row.versionCreatedAt),
  };
}

/** A stored time (ms since the epoch) as the contract shows times: ISO 8601 in UTC. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
