import { describe, expect, it } from "vitest";
import { costOf } from "../support/meteredD1.ts";
import { chat, refusal, templateProject } from "../support/templateProject.ts";

it("belong to a project, like versions and moves: its store does nothing under the id of another", async () => {
  const p = templateProject();
  const { template } = await p.create("a", chat("one"));
  const stranger = templateProject().projectId;
  const version = { ...(await p.save("a", chat("two"))).version, contentDigest: "d", createdAtMs: 0 };
  const { store, metered } = p;
  const start = metered.statements.length;
  const page = { limit: 10, beforeVersion: 9, label: undefined, beforeId: undefined };
  expect(await store.listVersions(stranger, template, page)).toEqual([]);
  expect(await store.listLabelMoves(stranger, template.id, page)).toEqual([]);
  const move = { id: "lbm_x", templateId: template.id, label: "production", to: 2, by: "", atMs: 0, breaking: [] };
  expect(await store.moveLabel({ ...move, projectId: stranger, from: 1 })).toBe(false);
  const edit = { templateId: template.id, description: "d", listed: true, baseVersion: 2 };
  expect(await store.insertVersion({ ...edit, projectId: stranger, version: { ...version, id: "ver_x" } })).toBeNull();
  expect(costOf(metered, start).rowsWritten).toBe(0);
});

describe("labels", () => {
  it("move by compare-and-set and keep their history", async () => {
    const p = templateProject();
    await p.create("a", chat("one"));
    await p.save("a", chat("two"));
    expect(await p.move("a", "staging", 2, { expectedVersion: null })).toMatchObject({ from: null, to: 2 });
    expect(await p.move("a", "production", 2, { expectedVersion: 1 })).toMatchObject({ from: 1, to: 2 });
    expect(await refusal(p.move("a", "production", 1, { expectedVersion: 1 }))).toMatchObject({
      code: "conflict",
      param: "expectedVersion",
    });
    expect(await refusal(p.move("a", "staging", 1, { expectedVersion: null }))).toMatchObject({ code: "conflict" });
    expect(await refusal(p.move("a", "production", 3))).toMatchObject({ code: "not_found", param: "version" });
    expect(await p.move("a", "production", 2)).toMatchObject({ from: 2, to: 2 });
    const moves = (await p.history("a")).map(({ label, from, to }) => [label, from, to]);
    expect(moves).toEqual([
      ["production", 1, 2],
      ["staging", null, 2],
      ["production", null, 1],
    ]);
    expect(await p.history("a", "staging")).toHaveLength(1);
    expect((await p.use.get(p.principal, { name: "a", version: "staging" })).version.version).toBe(2);
  });

  it.each([
    ["an existing label", "production", 1],
    ["a new label", "fresh", null],
  ])("of %s move once when several race for it", async (_, label, from) => {
    const p = templateProject();
    await p.create("a", chat("v1"));
    for (let version = 2; version <= 7; version += 1) await p.save("a", chat(`v${version}`));
    const before = (await p.history("a", label)).length;
    const all = await Promise.allSettled(
      [2, 3, 4, 5, 6, 7].map((version) => p.move("a", label, version, { expectedVersion: from })),
    );
    const won = all.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    expect(won).toHaveLength(1);
    for (const one of all) if (one.status === "rejected") expect(one.reason.code).toBe("conflict");
    const moves = await p.history("a", label);
    expect(moves).toHaveLength(before + 1);
    expect(moves[0]).toMatchObject({ from, to: won[0]?.to });
    expect((await p.use.get(p.principal, { name: "a", version: label })).version.version).toBe(won[0]?.to);
  });

  it("are not moved past a change that breaks callers, unless that is allowed", async () => {
    const p = templateProject();
    await p.create("a", chat("{{name}}"));
    await p.save("a", chat("{{name}} {{tone}}"));
    const breaking = [expect.objectContaining({ variable: "tone", change: "required_added" })];
    expect(await refusal(p.move("a", "production", 2))).toMatchObject({ code: "conflict", details: { breaking } });
    expect((await p.use.get(p.principal, { name: "a" })).version.version).toBe(1);
    expect(await p.move("a", "beta", 2)).toMatchObject({ breaking: [] });
    expect(await p.move("a", "production", 2, { allowBreaking: true })).toMatchObject({ breaking });
    expect((await p.history("a", "production"))[0]).toMatchObject({ breaking });
    expect(await refusal(p.move("a", "production", 1))).toMatchObject({
      details: { breaking: [{ variable: "tone", change: "removed" }] },
    });
  });
});
