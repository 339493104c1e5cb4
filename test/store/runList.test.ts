import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import type { ListRunsInput } from "../../src/contract/runs.ts";
import { newId } from "../../src/core/ids.ts";
import { database } from "../../src/store/db.ts";
import { listRuns } from "../../src/store/runList.ts";
import { openRun, settleRun } from "../../src/store/runs.ts";
import { anOutcome, aStart, someContents } from "../support/runRecords.ts";

const db = database(env.DB);
const open = openRun(db);
const settle = settleRun(db);
const list = listRuns(db);

const ids = async (projectId: string, input: Partial<ListRunsInput>) =>
  (await list(projectId, { limit: 100, ...input })).items.map((run) => run.id);

/** Two live and two settled runs of one minute each, oldest first. */
async function mixedProject() {
  const projectId = newId("prj");
  const metadata = { user: "u1", 'say "hi"\\': "a,b" };
  const at = (minute: number) => aStart({ projectId, createdAtMs: Date.UTC(2026, 8, 1, 12, minute), metadata });
  const [settledOld, queued, settledNew, running] = [at(0), at(1), at(2), at(3)] as const;
  await settle(settledOld, anOutcome({ status: "failed" }), someContents());
  await open(queued, "queued");
  await settle(settledNew, anOutcome(), null);
  await open(running, "running");
  return { projectId, settledOld, queued, settledNew, running };
}

describe("a list of live and settled runs", () => {
  it.each<[string, Partial<ListRunsInput>]>([
    ["no filter", {}],
    ["a template", { template: "support/refund" }],
    ["a template's version", { template: "support/refund", version: 3 }],
    ["a model", { model: "large" }],
    ["a source", { source: "trpc" }],
    ["a key", { keyId: "key_1" }],
    ["metadata, whatever it contains", { metadata: { 'say "hi"\\': "a,b", user: "u1" } }],
    ["metadata without a pair", { metadata: {} }],
  ])("merges both, newest first, by %s", async (_, filter) => {
    const { projectId, settledOld, queued, settledNew, running } = await mixedProject();
    const expected = [running.id, settledNew.id, queued.id, settledOld.id];
    expect(await ids(projectId, filter)).toEqual(expected);
    const first = await list(projectId, { ...filter, limit: 3 });
    expect(first.items.map((run) => run.id)).toEqual(expected.slice(0, 3));
    const second = await list(projectId, { ...filter, limit: 3, cursor: first.nextCursor ?? "" });
    expect(second).toMatchObject({ items: [{ id: settledOld.id }], nextCursor: null });
    expect(await ids(newId("prj"), filter)).toEqual([]);
  });

  it.each<[string, Partial<ListRunsInput>]>([
    ["another template", { template: "support" }],
    ["another version", { template: "support/refund", version: 33 }],
    ["another model", { model: "Large" }],
    ["another source", { source: "console" }],
    ["another key", { keyId: "key" }],
    ["another value of a metadata key", { metadata: { user: "u" } }],
    ["a metadata pair too many", { metadata: { user: "u1", tier: "pro" } }],
    ["a metadata pair that only looks alike", { metadata: { 'hi"\\': "a,b" } }],
  ])("is empty by %s", async (_, filter) => {
    const { projectId } = await mixedProject();
    expect(await ids(projectId, filter)).toEqual([]);
  });

  it("finds a run by the largest metadata there can be", async () => {
    const { maxMetadataPairs, maxMetadataKeyChars, maxMetadataValueChars } = limits;
    const pairs = Array.from({ length: maxMetadataPairs }, (_, index) => [
      `${String(index).padStart(2, "0")}${"键".repeat(maxMetadataKeyChars - 2)}`,
      "值".repeat(maxMetadataValueChars),
    ]);
    const metadata: Record<string, string> = Object.fromEntries(pairs);
    const settled = aStart({ projectId: newId("prj"), metadata });
    const live = aStart({ projectId: settled.projectId, metadata });
    await settle(settled, anOutcome(), null);
    await open(live, "running");
    expect(await ids(settled.projectId, { metadata })).toEqual([live.id, settled.id]);
    const [key = "", value = ""] = pairs[9] ?? [];
    expect(await ids(settled.projectId, { metadata: { ...metadata, [key]: value.slice(1) } })).toEqual([]);
  });

  it("knows each status", async () => {
    const { projectId, settledOld, queued, settledNew, running } = await mixedProject();
    expect(await ids(projectId, { status: "queued" })).toEqual([queued.id]);
    expect(await ids(projectId, { status: "running" })).toEqual([running.id]);
    expect(await ids(projectId, { status: "failed" })).toEqual([settledOld.id]);
    expect(await ids(projectId, { status: "succeeded" })).toEqual([settledNew.id]);
    expect(await ids(projectId, { status: "interrupted" })).toEqual([]);
  });

  it("searches text in settled runs only", async () => {
    const { projectId, settledOld } = await mixedProject();
    expect(await ids(projectId, { text: "parcel" })).toEqual([settledOld.id]);
    expect(await ids(projectId, { text: "parcel", status: "succeeded" })).toEqual([]);
    expect(await ids(projectId, { text: "parcel", status: "running" })).toEqual([]);
  });

  it.each<[string, Partial<ListRunsInput>]>([
    ["alone", {}],
    ["with a filter", { model: "large" }],
  ])("includes its beginning and excludes its end, to the millisecond: time %s", async (_, filter) => {
    const projectId = newId("prj");
    const at = Date.UTC(2026, 8, 1, 12);
    const starts = [at - 1, at, at, at + 1].map((createdAtMs) => aStart({ projectId, createdAtMs }));
    const [before, first, second, after] = starts.map((start) => start.id);
    for (const start of starts) await settle(start, anOutcome(), null);
    const between = (from?: string, to?: string) => ids(projectId, { ...filter, from, to });
    expect(await between("2026-09-01T12:00:00Z")).toEqual([after, second, first]);
    expect(await between(undefined, "2026-09-01T12:00:00Z")).toEqual([before]);
    expect(await between("2026-09-01T12:00:00.000Z", "2026-09-01T12:00:00.001Z")).toEqual([second, first]);
    expect(await between("2026-09-01T14:00:00+02:00", "2026-09-01T14:00:00.0001+02:00")).toEqual([second, first]);
    expect(await between("2026-09-01T12:00:00.0009Z")).toEqual([after]);
    expect(await between("2026-09-01T12:00:00Z", "2026-09-01T12:00:00Z")).toEqual([]);
    expect((await between("0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z")).length).toBe(4);
  });

  it("shows a run that settles between two pages once", async () => {
    const { projectId, settledOld, queued, settledNew, running } = await mixedProject();
    const first = await list(projectId, { source: "trpc", limit: 2 });
    await settle(queued, anOutcome(), null);
    await settle(running, anOutcome(), null);
    const second = await list(projectId, { source: "trpc", limit: 2, cursor: first.nextCursor ?? "" });
    expect([...first.items, ...second.items].map((run) => run.id)).toEqual([
      running.id,
      settledNew.id,
      queued.id,
      settledOld.id,
    ]);
  });

  it.each(["", "x", "!!", "天", btoa("runs"), btoa("keys 12"), btoa("runs 1e3"), btoa("runs 1 OR 1")])(
    "refuses the cursor %j",
    async (cursor) => {
      await expect(list(newId("prj"), { limit: 10, cursor })).rejects.toMatchObject({
        code: "invalid_request",
        param: "cursor",
      });
    },
  );
});
