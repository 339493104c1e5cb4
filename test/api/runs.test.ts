import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { runsRouter } from "../../src/api/trpc/runs.ts";
import { Scope } from "../../src/contract/scopes.ts";
import { newId } from "../../src/core/ids.ts";
import { runUseCases } from "../../src/core/runs.ts";
import type { UseCases } from "../../src/core/useCases.ts";
import { database } from "../../src/store/db.ts";
import { listRuns } from "../../src/store/runList.ts";
import { sumUsage } from "../../src/store/runStats.ts";
import { deleteRun, findRun, openRun, rateRun, settleRun } from "../../src/store/runs.ts";
import { unlimited } from "../support/projects.ts";
import { anOutcome, aStart, someContents } from "../support/runRecords.ts";

const db = database(env.DB);
const runs = runUseCases({
  listRuns: listRuns(db),
  findRun: findRun(db),
  rateRun: rateRun(db),
  deleteRun: deleteRun(db),
  sumUsage: sumUsage(db),
  forgetEvents: async () => {},
  now: () => Date.UTC(2026, 8, 1, 13),
});

function callerOf(projectId: string, scopes: readonly Scope[] = ["runs:read", "runs:write"]) {
  return runsRouter.createCaller({
    requestId: "req_1",
    signal: new AbortController().signal,
    authenticate: async () => ({
      projectId,
      keyId: "key_1",
      kind: "secret",
      scopes,
      origins: [],
      keepContents: true,
      limits: unlimited(),
    }),
    // This router asks for nothing else.
    useCases: { runs } as UseCases,
  });
}

describe("the runs router", () => {
  it("shows, rates and deletes a run of the caller's project", async () => {
    const start = aStart({ projectId: newId("prj") });
    await openRun(db)(start, "running");
    const caller = callerOf(start.projectId);
    expect((await caller.list({})).items).toMatchObject([{ id: start.id, status: "running" }]);
    await expect(caller.delete({ id: start.id })).rejects.toMatchObject({ code: "CONFLICT" });
    await settleRun(db)(start, anOutcome(), someContents({ output: { parcel: 1 } }));
    expect(await caller.get({ id: start.id })).toMatchObject({
      run: { id: start.id, status: "succeeded" },
      contents: { content: "It is on its way.", output: { parcel: 1 }, cut: false },
    });
    expect(await caller.rate({ id: start.id, score: 0.5, comment: "good" })).toMatchObject({ score: 0.5 });
    expect((await caller.list({ text: "天气", template: "support/refund" })).items).toMatchObject([{ score: 0.5 }]);
    expect(await caller.delete({ id: start.id })).toEqual({ id: start.id });
    expect(await caller.list({})).toEqual({ items: [], nextCursor: null });
    expect((await caller.stats({ groupBy: "version" })).rows).toMatchObject([{ group: "support/refund@3", runs: 1 }]);
  });

  it("answers alike for a foreign and a missing run", async () => {
    const start = aStart({ projectId: newId("prj") });
    await settleRun(db)(start, anOutcome(), null);
    const stranger = callerOf(newId("prj"));
    const missing = start.id.replace(/.$/, "!");
    for (const call of [
      (id: string) => stranger.get({ id }),
      (id: string) => stranger.rate({ id, score: 1 }),
      (id: string) => stranger.delete({ id }),
    ]) {
      const [foreign, none] = await Promise.all(
        [start.id, missing].map((id) => call(id).catch((error: Error) => error)),
      );
      expect(foreign).toMatchObject({ code: "NOT_FOUND", message: `There is no run ${start.id}.` });
      expect(none).toMatchObject({ code: "NOT_FOUND", message: `There is no run ${missing}.` });
    }
  });

  it("needs runs:read to look and runs:write to change", async () => {
    const except = (scope: Scope) =>
      callerOf(
        newId("prj"),
        Scope.options.filter((each) => each !== scope),
      );
    const forbidden = { code: "FORBIDDEN" };
    const blind = except("runs:read");
    await expect(blind.list({})).rejects.toMatchObject(forbidden);
    await expect(blind.get({ id: "run_1" })).rejects.toMatchObject(forbidden);
    await expect(blind.stats({})).rejects.toMatchObject(forbidden);
    const reader = except("runs:write");
    await expect(reader.rate({ id: "run_1", score: 1 })).rejects.toMatchObject(forbidden);
    await expect(reader.delete({ id: "run_1" })).rejects.toMatchObject(forbidden);
    expect(await reader.list({})).toEqual({ items: [], nextCursor: null });
  });

  it("refuses a version without a template", async () => {
    await expect(callerOf(newId("prj")).list({ version: 1 })).rejects.toMatchObject({ code: "BAD_REQUEST" });
  });
});
