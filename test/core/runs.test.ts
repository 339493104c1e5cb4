import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import type { RunWithContents } from "../../src/contract/runs.ts";
import { newId } from "../../src/core/ids.ts";
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
    forgetEvents: vi.fn(async () => {}),
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

describe("a run whose answer is with its caller before its row is with D1", () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: Date.UTC(2026, 8, 15) });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("is waited for while its id is young, and found once it is there", async () => {
    let asked = 0;
    const run = { run: {}, contents: null } as RunWithContents;
    const { runs } = useCases({ findRun: async () => (++asked === 3 ? run : null), now: Date.now });
    const found = runs.get(principal, newId("run", Date.now()));
    await vi.advanceTimersByTimeAsync(2 * limits.recordPollMs);
    expect(await found).toBe(run);
  });

  function anOldId(): string {
    const id = newId("run", Date.now());
    vi.setSystemTime(Date.now() + limits.recordLagMs);
    return id;
  }

  it.each([
    ["young", () => newId("run", Date.now()), limits.recordLagMs],
    ["old", anOldId, 0],
    ["of the future", () => newId("run", Date.now() + 60_000), 0],
    ["none of ours", () => "run_x", 0],
  ])("an id that is %s is not_found in the end", async (_, id, afterMs) => {
    const { runs } = useCases({ now: Date.now });
    const asked = id();
    const startMs = Date.now();
    const refused = runs
      .delete(principal, asked)
      .catch((thrown) => ({ code: thrown.code, afterMs: Date.now() - startMs }));
    await vi.advanceTimersByTimeAsync(2 * limits.recordLagMs);
    expect(await refused).toEqual({ code: "not_found", afterMs });
  });
});
