import type { NewKey } from "../core/keys.ts";
import type { Database } from "./db.ts";
import { keyRow } from "./keys.ts";
import { keys, projects } from "./schema.ts";

export type NewProject = {
  id: string;
  name: string;
  keepContents: boolean;
  /** Null: contents are kept for ever. */
  retentionDays: number | null;
  createdAtMs: number;
};

/** Projects on D1. */
export function projectStore(db: Database) {
  return {
    /** A project and the first keys that open it, all or nothing: without a key nobody could ever enter it. */
    async insertProject(project: NewProject, firstKeys: readonly NewKey[]): Promise<void> {
      const { createdAtMs, ...row } = project;
      await db.batch([
        db.insert(projects).values({ ...row, createdAt: createdAtMs }),
        ...firstKeys.map((key) => db.insert(keys).values(keyRow(key))),
      ]);
    },
  };
}
