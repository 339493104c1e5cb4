import { describe, expect, it, vi } from "vitest";
import type { Principal } from "../../src/core/principal.ts";
import { type RunPorts, runUseCases } from "../../src/core/runs.ts";
import { unlimited } from "../support/projects.ts";

const principal: Principal = {
  projectId: "prj_1",
  keyId: "key_1",
  kind: "secret",
  scopes: ["runs:read", "runs:write"],
  origins: [],
  keepContents: true,
  limits: unlimited(),
};

function useCases(ports: Partial<RunPorts> = {}) {
  const empty: RunPorts = {
    listRuns: vi.fn(async () => ({ items: [], nextCursor: null })),
    findRun: vi.fn(async () => null),
    rateRun: vi.fn(async () => null),
    deleteRun: vi.fn(async () => "missing" as const),
    sumUsage: vi.fn(async () => []),
    now: () => Date.UTC(2026, 8, 15, 23, 30),
    ...ports,
  };
  return { ports: empty, runs: runUseCases(empty) };
}

describe("the run log's use cases", () => {
  it("look only into the caller's project", async () => {
    const { ports, runs } = useCases({ deleteRun: vi.fn(async () => "deleted" as const) });
    await runs.list(principal, { limit: 10 });
    await runs.get(principal, "run_1").catch(() => undefined);
    await runs.rate(principal, { id: "run_1", score: 1 }).catch(() => undefined);
    await runs.delete(principal, "run_1");
    await runs.stats(principal, { groupBy: "day" });
    for (const port of [ports.listRuns, ports.findRun, ports.rateRun, ports.deleteRun, ports.sumUsage])
      expect(vi.mocked(port).mock.calls.map((call) => call[0])).toEqual(["prj_1"]);
  });

  it("answer not_found for a run that is not there", async () => {
    const { runs } = useCases();
    const missing = { code: "not_found", param: "id" };
    await expect(runs.get(principal, "run_1")).rejects.toMatchObject(missing);
    await expect(runs.rate(principal, { id: "run_1", score: 1 })).rejects.toMatchObject(missing);
    await expect(runs.delete(principal, "run_1")).rejects.toMatchObject(missing);
  });

  it("refuse to delete a live run", async () => {
    const { runs } = useCases({ deleteRun: async () => "live" });
    await expect(runs.delete(principal, "run_1")).rejects.toMatchObject({ code: "conflict" });
  });

  it("take the comment back together with the score", async () => {
    const { ports, runs } = useCases();
    await runs.rate(principal, { id: "run_1", score: null, comment: "x" }).catch(() => undefined);
    await runs.rate(principal, { id: "run_1", score: 0, comment: "x" }).catch(() => undefined);
    await runs.rate(principal, { id: "run_1", score: 0.5 }).catch(() => undefined);
    expect(vi.mocked(ports.rateRun).mock.calls.map((call) => call[2])).toEqual([
      { score: null, comment: null },
      { score: 0, comment: "x" },
      { score: 0.5, comment: null },
    ]);
  });
});

describe("the days of statistics", () => {
  it.each([
    ["the last 30 days", {}, { from: "2026-08-17", to: "2026-09-15" }],
    ["from a day to today", { from: "2026-09-01" }, { from: "2026-09-01", to: "2026-09-15" }],
    ["30 days up to a day", { to: "2026-03-01" }, { from: "2026-01-31", to: "2026-03-01" }],
    ["a day that has not begun", { from: "2027-01-01" }, { from: "2027-01-01", to: "2027-01-01" }],
    ["one day", { from: "2026-02-28", to: "2026-02-28" }, { from: "2026-02-28", to: "2026-02-28" }],
    ["a leap year", { from: "2024-01-01", to: "2024-12-31" }, { from: "2024-01-01", to: "2024-12-31" }],
    ["the first days of time", { to: "0000-01-05" }, { from: "0000-01-01", to: "0000-01-05" }],
  ])("are %s", async (_, input, span) => {
    const { ports, runs } = useCases();
    const stats = await runs.stats(principal, { groupBy: "model", ...input });
    expect(stats).toEqual({ ...span, rows: [] });
    expect(ports.sumUsage).toHaveBeenCalledWith("prj_1", { groupBy: "model", ...span });
  });

  it.each([
    ["an end before the beginning", { from: "2026-09-02", to: "2026-09-01" }, "to"],
    ["more days than one call may span", { from: "2023-01-01", to: "2024-01-02" }, "from"],
    ["a beginning long ago", { from: "1999-01-01" }, "from"],
  ])("are refused for %s", async (_, input, param) => {
    const { ports, runs } = useCases();
    await expect(runs.stats(principal, { groupBy: "day", ...input })).rejects.toMatchObject({
      code: "invalid_request",
      param,
    });
    expect(ports.sumUsage).not.toHaveBeenCalled();
  });
});
