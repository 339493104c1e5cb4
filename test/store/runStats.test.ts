import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { RunStatsRow } from "../../src/contract/runs.ts";
import { newId } from "../../src/core/ids.ts";
import type { RunOutcome, RunStart } from "../../src/core/runRecord.ts";
import { database } from "../../src/store/db.ts";
import { sumUsage } from "../../src/store/runStats.ts";
import { settleRun } from "../../src/store/runs.ts";
import { meteredD1, planOf } from "../support/meteredD1.ts";
import { anOutcome, aStart } from "../support/runRecords.ts";

const metered = meteredD1(env.DB);
const db = database(metered);
const settle = settleRun(db);
const sum = sumUsage(db);

const template = (name: string, version: number): RunStart["template"] => ({
  id: `tpl_${name}`,
  name,
  version,
  versionId: `ver_${name}${version}`,
  label: null,
  partials: [],
});

/** A project with these runs; returns its id. */
async function projectWith(...ended: [Partial<RunStart>, Partial<RunOutcome>][]): Promise<string> {
  const projectId = newId("prj");
  for (const [start, outcome] of ended) await settle(aStart({ ...start, projectId }), anOutcome(outcome), null);
  return projectId;
}

const all = { from: "2026-09-01", to: "2026-09-30" };

describe("the sums of runs", () => {
  it("add up outcomes, tokens, costs and times", async () => {
    const projectId = await projectWith(
      [{}, { totalMs: 100, firstTokenMs: 10 }],
      [{}, { totalMs: 300, firstTokenMs: 30, usage: { promptTokens: 1, completionTokens: 2, reasoningTokens: null } }],
      [{}, { status: "failed", errorCode: "upstream_error", usage: null, cost: null, firstTokenMs: null, totalMs: 50 }],
      [{}, { status: "cancelled", cost: { micros: 6, currency: "USD" }, firstTokenMs: null, totalMs: 0 }],
      [{}, { status: "interrupted", cost: { micros: 0, currency: "USD" }, firstTokenMs: 20, totalMs: 50 }],
    );
    const rows = await sum(projectId, { ...all, groupBy: "day" });
    expect(rows).toEqual([
      {
        group: "2026-09-01",
        runs: 5,
        succeeded: 2,
        failed: 1,
        cancelled: 1,
        interrupted: 1,
        promptTokens: 34,
        completionTokens: 68,
        reasoningTokens: 15,
        costs: [
          { micros: 2_468, currency: "CNY" },
          { micros: 6, currency: "USD" },
        ],
        costUnknown: 1,
        meanFirstTokenMs: 20,
        meanTotalMs: 100,
      },
    ]);
    expect(RunStatsRow.parse(rows[0])).toEqual(rows[0]);
  });

  it("show no mean where no run has the figure", async () => {
    const projectId = await projectWith([{}, { firstTokenMs: null, cost: null }]);
    const [row] = await sum(projectId, { ...all, groupBy: "day" });
    expect(row).toMatchObject({ meanFirstTokenMs: null, meanTotalMs: 900, costs: [], costUnknown: 1 });
  });

  it.each<["day" | "template" | "version" | "model" | "key", [string, number][]]>([
    [
      "day",
      [
        ["2026-09-01", 1],
        ["2026-09-02", 3],
      ],
    ],
    [
      "template",
      [
        ["b", 2],
        ["", 1],
        ["a", 1],
      ],
    ],
    [
      "version",
      [
        ["", 1],
        ["a@1", 1],
        ["b@1", 1],
        ["b@12", 1],
      ],
    ],
    [
      "model",
      [
        ["large", 3],
        ["small", 1],
      ],
    ],
    [
      "key",
      [
        ["key_2", 3],
        ["key_1", 1],
      ],
    ],
  ])("are grouped by %s: days in order, others by most runs", async (groupBy, expected) => {
    const late = Date.UTC(2026, 8, 2, 23, 59, 59, 999);
    const projectId = await projectWith(
      [{ createdAtMs: Date.UTC(2026, 8, 2), template: template("b", 12), keyId: "key_2" }, {}],
      [{ createdAtMs: late, template: template("b", 1), keyId: "key_2", modelAsked: "small" }, {}],
      [{ createdAtMs: late, template: template("a", 1), keyId: "key_2" }, {}],
      [{ template: null }, {}],
    );
    const rows = await sum(projectId, { ...all, groupBy });
    expect(rows.map((row) => [row.group, row.runs])).toEqual(expected);
  });

  it("keep to the days, the filters and the project asked for", async () => {
    const on = (day: number, start: Partial<RunStart>): [Partial<RunStart>, Partial<RunOutcome>] => [
      { createdAtMs: Date.UTC(2026, 8, day), ...start },
      {},
    ];
    const projectId = await projectWith(
      on(1, { template: template("a", 1), modelAsked: "m1", keyId: "k1" }),
      on(2, { template: template("a", 2), modelAsked: "m2", keyId: "k1" }),
      on(3, { template: template("b", 1), modelAsked: "m2", keyId: "k2" }),
      on(4, { template: null, modelAsked: "m1", keyId: "k2" }),
    );
    const count = async (query: object) =>
      (await sum(projectId, { ...all, groupBy: "key", ...query })).reduce((total, row) => total + row.runs, 0);
    expect(await count({})).toBe(4);
    expect(await count({ from: "2026-09-02", to: "2026-09-03" })).toBe(2);
    expect(await count({ template: "a" })).toBe(2);
    expect(await count({ model: "m2" })).toBe(2);
    expect(await count({ keyId: "k2", model: "m2" })).toBe(1);
    expect(await count({ template: "a' OR 1=1" })).toBe(0);
    expect(await sum(newId("prj"), { ...all, groupBy: "day" })).toEqual([]);
  });

  it("read only the project's days", async () => {
    const read = metered.statements.filter((statement) => /^select.*usage_daily/is.test(statement.sql));
    expect(read.length).toBeGreaterThan(5);
    for (const statement of read) {
      const [step] = await planOf(env.DB, statement);
      expect(step).toMatch(/^SEARCH usage_daily USING PRIMARY KEY \(project_id=\? AND day>\? AND day<\?/);
    }
  });
});
