import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import type { ListRunsInput, RunFilter } from "../../src/contract/runs.ts";
import { database } from "../../src/store/db.ts";
import { listRuns } from "../../src/store/runList.ts";
import { costOf, meteredD1, planOf } from "../support/meteredD1.ts";

/*
 * A log of 100,000 runs: two projects, common and rare facts, several runs in one millisecond. The rows and the
 * tokens of the index are made by SQL of this test's own, so that the code under test is compared with another hand.
 */
const runCount = 100_000;
const startMs = Date.UTC(2026, 5, 1);
const project = "prj_big";
const metered = meteredD1(env.DB);
const list = listRuns(database(metered));

type Row = {
  i: number;
  seq: number;
  id: string;
  projectId: string;
  status: string;
  source: string;
  template: string | null;
  version: number | null;
  model: string;
  keyId: string;
  user: string;
  tier: string;
  createdAt: number;
};
let newestFirst: Row[] = [];

const facts = `
  WITH RECURSIVE n(i) AS (SELECT CAST(?1 AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < CAST(?2 AS INTEGER)),
  f AS (SELECT i,
    ${startMs} + (i / 3) * 20000 AS created_at,
    (${startMs} + (i / 3) * 20000 - 1577836800000) * 4096 + i % 3 AS seq,
    'run_' || printf('%08d', i) AS id,
    CASE WHEN i * 7 % 10 = 0 THEN 'prj_other' ELSE '${project}' END AS project_id,
    CASE WHEN i % 19997 = 5 THEN 'queued' WHEN i = 99998 THEN 'running'
      WHEN i * 7919 % 10007 < 9500 THEN 'succeeded' WHEN i * 7919 % 10007 < 9800 THEN 'failed'
      WHEN i * 7919 % 10007 < 9980 THEN 'cancelled' ELSE 'interrupted' END AS status,
    CASE WHEN i * 6151 % 10009 < 6000 THEN 'trpc' WHEN i * 6151 % 10009 < 9500 THEN 'openai'
      WHEN i * 6151 % 10009 < 9990 THEN 'webhook' ELSE 'console' END AS source,
    CASE WHEN i * 4801 % 1009 < 200 THEN NULL WHEN i * 4801 % 1009 < 800 THEN 'support/refund'
      WHEN i * 4801 % 1009 < 1000 THEN 'triage' ELSE 'rare' END AS template,
    CASE WHEN i * 4801 % 1009 < 200 THEN NULL ELSE 1 + (i * 31 % 101) * (i * 31 % 101) / 900 END AS version,
    CASE WHEN i * 3571 % 1013 < 700 THEN 'large' WHEN i * 3571 % 1013 < 1005 THEN 'small' ELSE 'vendor/模型-1' END AS model,
    'key_' || CASE WHEN i * 2221 % 1019 < 10 THEN 9 ELSE i * 2221 % 3 END AS key_id,
    'u' || (i * 1117 % 1999) AS user,
    CASE WHEN i * 887 % 503 < 10 THEN 'pro' ELSE 'free' END AS tier,
    'w' || (i % 97) || ' z' || (i * 31 % 1009) || CASE WHEN i % 50 = 0 THEN ' 今 天 天 气' ELSE '' END AS words
  FROM n)`;

const insertRows = `${facts}
  , r AS (SELECT * FROM f)
  INSERT INTO runs (seq, id, project_id, status, source, simulated, stream, created_at, key_id, template_id,
    template_name, template_version, version_id, model_asked, metadata)
  SELECT seq, id, project_id, status, source, 0, 1, created_at, key_id, 'tpl_' || template, template, version,
    'ver_' || template, model, json_object('user', user, 'tier', tier) FROM r`;

const hex = (column: string) => `lower(hex(${column}))`;
const insertDocuments = `${facts}
  INSERT INTO run_search (rowid, facets, text)
  SELECT seq, 'p' || ${hex("project_id")} || ' s' || ${hex("status")} || ' o' || ${hex("source")}
    || ' m' || ${hex("model")} || ' k' || ${hex("key_id")}
    || ' d' || ${hex("'user'")} || 'x' || ${hex("user")} || ' d' || ${hex("'tier'")} || 'x' || ${hex("tier")}
    || coalesce(' t' || ${hex("template")} || ' v' || ${hex("template")} || 'x' || version, ''), words
  FROM f WHERE status NOT IN ('queued', 'running')`;

beforeAll(async () => {
  for (let from = 0; from < runCount; from += 10_000) {
    const insert = (sql: string) => env.DB.prepare(sql).bind(from, from + 10_000);
    const [, , { results }] = (await env.DB.batch([
      insert(insertRows),
      insert(insertDocuments),
      insert(`${facts} SELECT i, seq, id, project_id AS projectId, status, source, template, version, model,
        key_id AS keyId, user, tier, created_at AS createdAt FROM f`),
    ])) as [D1Result, D1Result, D1Result<Row>];
    newestFirst.push(...results);
  }
  newestFirst = newestFirst.filter((row) => row.projectId === project).sort((a, b) => b.seq - a.seq);
}, 120_000);

const isLive = (row: Row) => row.status === "queued" || row.status === "running";

/** The words of a row, as the SQL above wrote them. */
function hasText(row: Row, text: string): boolean {
  if (isLive(row)) return false;
  if (text === "天气") return row.i % 50 === 0;
  const word = text.slice(1);
  return text.startsWith("w") ? String(row.i % 97).startsWith(word) : String((row.i * 31) % 1009).startsWith(word);
}

function matches(row: Row, filter: RunFilter): boolean {
  return (
    (filter.from === undefined || row.createdAt >= Date.parse(filter.from)) &&
    // The window ends inside a millisecond, and a run of its beginning is before that end.
    (filter.to === undefined || row.createdAt <= Date.parse(filter.to)) &&
    (filter.status === undefined || row.status === filter.status) &&
    (filter.source === undefined || row.source === filter.source) &&
    (filter.template === undefined || row.template === filter.template) &&
    (filter.version === undefined || row.version === filter.version) &&
    (filter.model === undefined || row.model === filter.model) &&
    (filter.keyId === undefined || row.keyId === filter.keyId) &&
    (filter.metadata?.["user"] === undefined || row.user === filter.metadata["user"]) &&
    (filter.metadata?.["tier"] === undefined || row.tier === filter.metadata["tier"]) &&
    (filter.text === undefined || hasText(row, filter.text))
  );
}

const filters: Record<string, RunFilter> = {
  "nothing but time": {},
  "a common status": { status: "succeeded" },
  "a rare status": { status: "interrupted" },
  "a live status": { status: "queued" },
  "a common source": { source: "trpc" },
  "a rare source": { source: "console" },
  "a common template": { template: "support/refund" },
  "a rare template": { template: "rare" },
  "an unknown template": { template: "nobody/knows" },
  "a template version": { template: "triage", version: 9 },
  "a common model": { model: "large" },
  "a rare model": { model: "vendor/模型-1" },
  "a common key": { keyId: "key_1" },
  "a rare key": { keyId: "key_9" },
  "a common metadata pair": { metadata: { tier: "free" } },
  "a rare metadata pair": { metadata: { user: "u77" } },
  "two metadata pairs": { metadata: { user: "u77", tier: "free" } },
  "a word": { text: "z1008" },
  "the beginning of a word": { text: "w1" },
  "a Chinese word": { text: "天气" },
  "template and status": { template: "support/refund", status: "failed" },
  "rare template and rare status": { template: "rare", status: "interrupted" },
  "model and status": { model: "large", status: "cancelled" },
  "key and status": { keyId: "key_2", status: "interrupted" },
  "source and status": { source: "webhook", status: "failed" },
  "template version and status": { template: "support/refund", version: 4, status: "failed" },
  "template and model": { template: "triage", model: "vendor/模型-1" },
  "metadata and status": { metadata: { tier: "pro" }, status: "failed" },
  "text and template": { text: "w50", template: "triage" },
};

const window = { from: "2026-06-03T00:00:00Z", to: "2026-06-06T12:00:00.0004+02:00" };

describe.each(Object.entries(filters))("a list of 100,000 runs by %s", (_, filter) => {
  it.each([
    ["over all time", filter],
    ["within a time window", { ...filter, ...window }],
  ])("finds exactly the right runs at the price of the page %s", async (_, filter) => {
    const expected = newestFirst.filter((row) => matches(row, filter));
    for (const limit of [1, 20, 100]) {
      for (const start of [0, Math.floor(expected.length * 0.7)]) {
        const cursor = start === 0 ? undefined : cursorAfter(expected[start - 1]);
        const before = metered.statements.length;
        const page = await list(project, { ...filter, limit, cursor });
        expect(page.items.map((run) => run.id)).toEqual(expected.slice(start, start + limit).map((row) => row.id));
        expect(page.nextCursor === null).toBe(start + limit >= expected.length);
        expect(costOf(metered, before).rowsRead).toBeLessThanOrEqual(3 * limit + 10);
      }
    }
  });
});

/** A cursor is opaque to callers; this test may know it, so as to jump deep into a list. */
function cursorAfter(row: Row | undefined): string {
  return btoa(`runs ${row?.seq}`).replaceAll("=", "");
}

it.each<[string, Partial<ListRunsInput>]>([
  ["a rare template", { template: "rare" }],
  ["live and settled runs together", { metadata: { tier: "pro" } }],
  ["a word", { text: "z1008" }],
])("pages chain without gap or repeat: %s", async (_, filter) => {
  const expected = newestFirst.filter((row) => matches(row, filter)).map((row) => row.id);
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await list(project, { ...filter, limit: 37, cursor });
    found.push(...page.items.map((run) => run.id));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  expect(expected.length).toBeGreaterThan(74);
  expect(found).toEqual(expected);
});

it("reads no table from end to end", async () => {
  const distinct = new Map(metered.statements.map((statement) => [statement.sql, statement]));
  expect(distinct.size).toBeGreaterThan(5);
  for (const statement of distinct.values()) {
    for (const step of await planOf(env.DB, statement)) expect(step).toMatch(frugalStep);
  }
});

/**
 * The search index led by MATCH and bounded on both sides, then the row it names; an index that begins with the
 * project; the few pairs inside one live row's own metadata.
 */
const frugalStep =
  /^(SCAN run_search VIRTUAL TABLE INDEX \d+:M\d<>|SEARCH runs USING INTEGER PRIMARY KEY \(rowid=\?\)|SEARCH runs USING INDEX (runs_project|runs_live) \(project_id=\? AND (seq|rowid)>\? AND (seq|rowid)<\?\)|SCAN json_each EXISTS VIRTUAL TABLE INDEX 1:)$/;
