import { and, desc, eq, isNotNull, isNull, lt, type SQL, sql } from "drizzle-orm";
import { BreakingChange } from "../contract/templates.ts";
import type { NewVersion, TemplateStore } from "../core/templatePorts.ts";
import { defaultLabel } from "../core/templateResolve.ts";
import type { Database } from "./db.ts";
import { labelMoves, templateLabels, templates, templateVersions } from "./schema.ts";
import {
  type FoundRow,
  isoTime,
  latestVersion,
  type TemplateRow,
  templateColumns,
  templateOf,
  versionOf,
} from "./templateRow.ts";

/** Templates, versions and labels on D1: the storage ports of the template use cases. */
export function templateStore(db: Database): TemplateStore {
  return {
    async findVersions(projectId, references) {
      const wanted = references.map(({ name, selector }) =>
        typeof selector === "number" ? { name, version: selector } : { name, label: selector },
      );
      // The references come first in the join, so that each costs its own rows only.
      const rows = await db.all<FoundRow>(sql`
        SELECT reference.key AS reference, ${templateColumns}, versions.id AS versionId, versions.version AS version,
          versions.content AS content, versions.variables AS variables, versions.note AS note,
          versions.created_by AS createdBy, versions.created_at AS versionCreatedAt
        FROM json_each(${JSON.stringify(wanted)}) AS reference
        CROSS JOIN ${templates} ON ${templates.projectId} = ${projectId}
          AND ${templates.name} = reference.value ->> 'name'
        LEFT JOIN template_versions AS versions ON versions.project_id = ${projectId}
          AND versions.template_id = ${templates.id}
          AND versions.version = CASE
            WHEN reference.value ->> 'version' IS NOT NULL THEN reference.value ->> 'version'
            WHEN reference.value ->> 'label' = 'latest' THEN ${latestVersion}
            ELSE (SELECT version FROM template_labels
              WHERE project_id = ${projectId} AND template_id = ${templates.id} AND label = reference.value ->> 'label')
          END`);
      const found = new Map(rows.map((row) => [row.reference, row]));
      return references.map((_, index) => {
        const row = found.get(index);
        return row ? { template: templateOf(row), version: versionOf(row) } : null;
      });
    },

    async insertTemplate({ id, projectId, name, description, kind, listed, version, moveId }) {
      const at = version.createdAtMs;
      // Whoever wins the name writes the rest too.
      const won = sql`EXISTS (SELECT 1 FROM templates WHERE id = ${id} AND project_id = ${projectId})`;
      const [inserted] = await db.batch([
        db
          .insert(templates)
          .values({ id, projectId, name, description, kind, listed, archivedAt: null, createdAt: at, updatedAt: at })
          .onConflictDoNothing()
          .returning({ id: templates.id }),
        db
          .insert(templateVersions)
          .select(sql`SELECT ${versionValues(version, { projectId, templateId: id, number: sql`1` })} WHERE ${won}`),
        db.insert(templateLabels).select(sql`SELECT ${projectId}, ${id}, ${defaultLabel}, 1, ${at} WHERE ${won}`),
        db.insert(labelMoves).select(
          sql`SELECT ${moveId}, ${projectId}, ${id}, ${defaultLabel}, NULL, 1, ${version.createdBy}, ${at}, '[]'
              WHERE ${won}`,
        ),
      ]);
      return inserted.length > 0;
    },

    async insertVersion({ projectId, templateId, baseVersion, description, listed, version }) {
      const ofTemplate = and(eq(templateVersions.projectId, projectId), eq(templateVersions.templateId, templateId));
      const latest = sql`(SELECT max(version) FROM template_versions WHERE ${ofTemplate})`;
      const current = baseVersion === undefined ? sql`true` : sql`${latest} = ${baseVersion}`;
      const added = and(ofTemplate, eq(templateVersions.id, version.id));
      // Once the version is in, `baseVersion` is the latest no more: what follows looks for the version itself.
      const accepted = sql`(${current} OR EXISTS (SELECT 1 FROM template_versions WHERE ${added}))`;
      const same = and(ofTemplate, eq(templateVersions.contentDigest, version.contentDigest), accepted);
      const changed = description !== undefined || listed !== undefined ? same : added;
      const [inserted, , stored] = await db.batch([
        db
          .insert(templateVersions)
          .select(
            sql`SELECT ${versionValues(version, { projectId, templateId, number: sql`coalesce(${latest}, 0) + 1` })} WHERE ${current}`,
          )
          .onConflictDoNothing({
            target: [templateVersions.projectId, templateVersions.templateId, templateVersions.contentDigest],
          })
          .returning({ version: templateVersions.version }),
        db
          .update(templates)
          .set({ updatedAt: version.createdAtMs, description, listed })
          .where(and(owned(projectId, templateId), sql`EXISTS (SELECT 1 FROM template_versions WHERE ${changed})`)),
        db.select({ version: templateVersions.version }).from(templateVersions).where(same),
      ]);
      return stored[0] ? { version: stored[0].version, created: inserted.length > 0 } : null;
    },

    async moveLabel({ id, projectId, templateId, label, from, to, by, atMs, breaking }) {
      const labelled = and(
        eq(templateLabels.projectId, projectId),
        eq(templateLabels.templateId, templateId),
        eq(templateLabels.label, label),
      );
      const moves = sql`SELECT 1 FROM label_moves WHERE id = ${id} AND project_id = ${projectId}`;
      const pointsTo = sql`(SELECT version FROM template_labels WHERE ${labelled})`;
      const [, moved] = await db.batch([
        // Written first and under the same condition, so that history holds the moves that happened and no other.
        db.insert(labelMoves).select(sql`
          SELECT ${id}, ${projectId}, ${templateId}, ${label}, ${from}, ${to}, ${by}, ${atMs}, ${JSON.stringify(breaking)}
          WHERE ${pointsTo} IS ${from}`),
        from === null
          ? db
              .insert(templateLabels)
              .values({ projectId, templateId, label, version: to, updatedAt: atMs })
              .onConflictDoNothing()
              .returning({ version: templateLabels.version })
          : db
              .update(templateLabels)
              .set({ version: to, updatedAt: atMs })
              .where(and(labelled, eq(templateLabels.version, from)))
              .returning({ version: templateLabels.version }),
        db
          .update(templates)
          .set({ updatedAt: atMs })
          .where(and(owned(projectId, templateId), sql`EXISTS (${moves})`)),
      ]);
      return moved.length > 0;
    },

    async listTemplates(projectId, { query, archived, afterName, limit }) {
      const rows = await db.all<TemplateRow>(sql`
        SELECT ${templateColumns} FROM ${templates}
        WHERE ${templates.projectId} = ${projectId} AND ${namesFrom(query?.toLowerCase() ?? "", afterName)}
          AND ${archived ? isNotNull(templates.archivedAt) : isNull(templates.archivedAt)}
        ORDER BY ${templates.name} LIMIT ${limit}`);
      return rows.map(templateOf);
    },

    async listVersions(projectId, template, { beforeVersion, limit }) {
      const { id, version, note, createdBy, createdAt } = templateVersions;
      const rows = await db
        .select({ id, version, note, createdBy, createdAt })
        .from(templateVersions)
        .where(
          and(
            eq(templateVersions.projectId, projectId),
            eq(templateVersions.templateId, template.id),
            lt(version, beforeVersion),
          ),
        )
        .orderBy(desc(version))
        .limit(limit);
      const labels = Object.entries(template.labels);
      return rows.map((row) => ({
        ...row,
        template: template.name,
        createdAt: isoTime(row.createdAt),
        labels: labels.filter(([, target]) => target === row.version).map(([label]) => label),
      }));
    },

    async listLabelMoves(projectId, templateId, { label, beforeId, limit }) {
      const rows = await db
        .select()
        .from(labelMoves)
        .where(
          and(
            eq(labelMoves.projectId, projectId),
            eq(labelMoves.templateId, templateId),
            label === undefined ? undefined : eq(labelMoves.label, label),
            beforeId === undefined ? undefined : lt(labelMoves.id, beforeId),
          ),
        )
        .orderBy(desc(labelMoves.id))
        .limit(limit);
      return rows.map((row) => ({
        id: row.id,
        move: {
          label: row.label,
          from: row.fromVersion,
          to: row.toVersion,
          by: row.movedBy,
          at: isoTime(row.movedAt),
          breaking: BreakingChange.array().parse(row.breaking),
        },
      }));
    },

    async setArchived(projectId, name, { archived, atMs }) {
      const rows = await db
        .update(templates)
        .set({ archivedAt: archived ? sql`coalesce(${templates.archivedAt}, ${atMs})` : null, updatedAt: atMs })
        .where(and(eq(templates.projectId, projectId), eq(templates.name, name)))
        .returning({ id: templates.id });
      return rows.length > 0;
    },
  };
}

function owned(projectId: string, templateId: string) {
  return and(eq(templates.id, templateId), eq(templates.projectId, projectId));
}

/**
 * The names after `afterName` that begin with `prefix`, as one range of the index. Names are ASCII letters, digits and
 * signs, all of which sort before DEL.
 */
function namesFrom(prefix: string, afterName: string): SQL {
  const from = afterName < prefix ? sql`${templates.name} >= ${prefix}` : sql`${templates.name} > ${afterName}`;
  return sql`${from} AND ${templates.name} < ${`${prefix}\u007f`}`;
}

/** In the order of the table's columns. */
function versionValues(version: NewVersion, place: { projectId: string; templateId: string; number: SQL }) {
  const { projectId, templateId, number } = place;
  return sql`${version.id}, ${projectId}, ${templateId}, ${number}, ${JSON.stringify(version.content)}, ${version.contentDigest},
    ${JSON.stringify(version.variables)}, ${version.note}, ${version.createdBy}, ${version.createdAtMs}`;
}
