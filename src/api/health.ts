import { type Env, settingsOf } from "../env.ts";

/** What keeps this Worker from serving completions; empty when nothing does. */
export async function missing(env: Env): Promise<string[]> {
  const lacks: string[] = [];
  try {
    const { UPSTREAM_BASE_URL, SIMULATOR } = settingsOf(env);
    if (!UPSTREAM_BASE_URL && SIMULATOR !== "on") lacks.push("UPSTREAM_BASE_URL: no upstream is configured");
  } catch (thrown) {
    lacks.push(thrown instanceof Error ? thrown.message : String(thrown));
  }
  if (!(await isMigrated(env.DB))) lacks.push("DB: the migrations have not been applied");
  return lacks;
}

/** The newest table stands for all migrations. */
async function isMigrated(db: D1Database): Promise<boolean> {
  try {
    await db.prepare("SELECT rowid FROM run_search LIMIT 1").first();
    return true;
  } catch {
    return false;
  }
}
