import type { LocalDatabase } from "../../src/local/runtime.ts";
import { factTokens } from "../../src/store/runSearch.ts";

/** The day, ms, of the newest run; runs go back from there over a year. */
export const newestDay = Date.UTC(2026, 9, 31);
const spanMs = 365 * 86_400_000;
const batch = 50_000;
/** Each run has a moment of its own, and any number of them spreads evenly over the year: a prime, and a stride through it. */
const slots = 1_000_003;
const stride = 618_034;
/** Runs take turns through this many kinds, so that any page of a filter that fits one is full. */
const kindCount = 60;

type Kind = {
  status: string;
  template: string | null;
  version: number | null;
  model: string;
  user: string;
  facets: string;
};

function kinds(projectId: string, keyId: string): Kind[] {
  return Array.from({ length: kindCount }, (_, at) => {
    const status = at % 20 === 3 ? "failed" : at % 20 === 9 ? "cancelled" : "succeeded";
    const template = at % 5 === 0 ? null : at % 3 === 0 ? "triage" : "support/refund";
    const version = template === null ? null : 1 + (at % 4);
    const model = at % 4 === 0 ? "small" : "large";
    const user = `u${at}`;
    const facts = { projectId, status, source: "openai", model, keyId, metadata: { user } } as const;
    const facets = factTokens({ ...facts, ...(template !== null && { template, version: version ?? 1 }) }).join(" ");
    return { status, template, version, model, user, facets };
  });
}

const runs = `
  WITH RECURSIVE n(i) AS (SELECT CAST(?1 AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < CAST(?2 AS INTEGER)),
  kind AS MATERIALIZED (SELECT key, value ->> 'status' AS status, value ->> 'template' AS template,
    value ->> 'version' AS version, value ->> 'model' AS model, value ->> 'user' AS user, value ->> 'facets' AS facets
    FROM json_each(?3)),
  r AS (SELECT n.i, kind.*, ?4 AS project_id, ?5 AS key_id, created_at,
    (created_at - 1577836800000) * 4096 AS seq, printf('run_%010d', i) AS id
    FROM (SELECT i, ${newestDay - spanMs} + i * ${stride} % ${slots} * ${Math.floor(spanMs / slots)} AS created_at FROM n) AS n
    JOIN kind ON kind.key = n.i % ${kindCount} ORDER BY seq)`;

const insertRuns = `${runs}
  INSERT INTO runs (seq, id, project_id, status, source, simulated, stream, created_at, key_id, template_id,
    template_name, template_version, version_id, model_asked, model_answered, prompt_tokens, completion_tokens,
    cost_micros, cost_currency, first_token_ms, total_ms, metadata)
  SELECT seq, id, project_id, status, 'openai', 0, 1, created_at, key_id, 'tpl_' || template,
    template, version, 'ver_' || template, model, model, 100 + i % 900, i % 700, i % 5000, 'USD', 200 + i % 300,
    1000 + i % 9000, json_object('user', user) FROM r`;

const insertDocuments = `${runs}
  INSERT INTO run_search (rowid, facets, text) SELECT seq, facets, 'w' || (i % 97) || ' z' || (i * 31 % 1009) FROM r`;

const countDays = `
  INSERT INTO usage_daily SELECT project_id, date(created_at / 1000, 'unixepoch') AS day, coalesce(template_name, ''),
    coalesce(template_version, 0), model_asked, key_id, 'USD', count(*), sum(status = 'succeeded'),
    sum(status = 'failed'), sum(status = 'cancelled'), 0, sum(prompt_tokens), sum(completion_tokens), 0,
    sum(cost_micros), 0, sum(first_token_ms), count(*), sum(total_ms), count(*)
  FROM runs GROUP BY 1, 2, 3, 4, 5, 6`;

/**
 * Adds settled runs `from` to `to` for the project of the database's first key, as if over a year, and counts them
 * into their days. Resolves with the project and a cursor half way down its list.
 */
export async function fillRuns(
  database: LocalDatabase,
  { from, to, signal }: { from: number; to: number; signal: AbortSignal },
): Promise<{ projectId: string; halfway: string }> {
  const key = await database
    .prepare("SELECT id, project_id AS projectId FROM keys LIMIT 1")
    .first<{ id: string; projectId: string }>();
  if (!key) throw new Error("the database has no key");
  const facts = JSON.stringify(kinds(key.projectId, key.id));
  for (let at = from; at < to; at += batch) {
    signal.throwIfAborted();
    const params = [at, Math.min(to, at + batch), facts, key.projectId, key.id];
    await database.batch([insertRuns, insertDocuments].map((sql) => database.prepare(sql).bind(...params)));
  }
  await database.batch([database.prepare("DELETE FROM usage_daily"), database.prepare(countDays)]);
  const seq = await database
    .prepare("SELECT seq FROM runs ORDER BY seq LIMIT 1 OFFSET ?")
    .bind(to / 2)
    .first("seq");
  // A cursor is opaque to callers; this one may know it, so as to jump deep into a list.
  return { projectId: key.projectId, halfway: btoa(`runs ${seq}`).replaceAll("=", "") };
}
