import { type Env, settingsOf } from "../env.ts";
import { database } from "../store/db.ts";
import { isMigrated } from "../store/health.ts";

/** What keeps this Worker from serving completions; empty when nothing does. */
export async function missing(env: Env): Promise<string[]> {
  const lacks: string[] = [];
  try {
    const { UPSTREAM_BASE_URL, SIMULATOR } = settingsOf(env);
    if (!UPSTREAM_BASE_URL && SIMULATOR !== "on") lacks.push("UPSTREAM_BASE_URL: no upstream is configured");
  } catch (thrown) {
    lacks.push(thrown instanceof Error ? thrown.message : String(thrown));
  }
  if (!(await isMigrated(database(env.DB)))) lacks.push("DB: the migrations have not been applied");
  return lacks;
}
