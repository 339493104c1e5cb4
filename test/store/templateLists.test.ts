import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { costOf, planOf } from "../support/meteredD1.ts";
import { chat, refusal, templateProject } from "../support/templateProject.ts";

describe("lists", () => {
  it("page through templates by name, by how names begin, and apart from archived ones", async () => {
    const p = templateProject();
    for (const name of ["c", "a/one", "b", "a/two", "old"]) await p.create(name, { text: name });
    await p.use.archive(p.principal, { name: "old" });
    const names: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await p.use.list(p.principal, { limit: 2, archived: false, cursor });
      names.push(...page.items.map(({ name }) => name));
      cursor = page.nextCursor ?? undefined;
    } while (cursor);
    expect(names).toEqual(["a/one", "a/two", "b", "c"]);
    const query = await p.use.list(p.principal, { limit: 10, archived: false, query: "A/" });
    expect(query.items.map(({ name }) => name)).toEqual(["a/one", "a/two"]);
    const next = await p.use.list(p.principal, { limit: 1, archived: false, query: "a/" });
    const rest = await p.use.list(p.principal, {
      limit: 1,
      archived: false,
      query: "a/",
      cursor: next.nextCursor ?? "",
    });
    expect([...next.items, ...rest.items].map(({ name }) => name)).toEqual(["a/one", "a/two"]);
    expect(rest.nextCursor).toBeNull();
    for (const unknown of ["two", "a/two!", "é", "\u007f"])
      expect((await p.use.list(p.principal, { limit: 1, archived: false, query: unknown })).items).toEqual([]);
    const archived = await p.use.list(p.principal, { limit: 10, archived: true });
    expect(archived.items.map(({ name }) => name)).toEqual(["old"]);
    expect(archived.nextCursor).toBeNull();
  });

  it("page through versions, newest first, with their labels", async () => {
    const p = templateProject();
    await p.create("a", { text: "v1" });
    for (let version = 2; version <= 5; version += 1) await p.save("a", { text: `v${version}` });
    await p.move("a", "beta", 4);
    const first = await p.use.versions(p.principal, { name: "a", limit: 3 });
    expect(first.items.map(({ version, labels }) => [version, labels])).toEqual([
      [5, []],
      [4, ["beta"]],
      [3, []],
    ]);
    const rest = await p.use.versions(p.principal, { name: "a", limit: 3, cursor: first.nextCursor ?? "" });
    expect(rest.items.map(({ version, labels }) => [version, labels])).toEqual([
      [2, []],
      [1, ["production"]],
    ]);
    expect(rest.nextCursor).toBeNull();
  });

  it("page through a label's moves, newest first", async () => {
    const p = templateProject();
    await p.create("a", { text: "v1" });
    await p.save("a", { text: "v2" });
    for (const version of [2, 1, 2]) await p.move("a", "production", version);
    const first = await p.use.labelHistory(p.principal, { name: "a", limit: 3 });
    const rest = await p.use.labelHistory(p.principal, { name: "a", limit: 3, cursor: first.nextCursor ?? "" });
    expect([...first.items, ...rest.items].map(({ to }) => to)).toEqual([2, 1, 2, 1]);
  });

  it("page through one label's moves without reading the others'", async () => {
    const p = templateProject();
    const { template } = await p.create("a", { text: "v1" });
    await p.save("a", { text: "v2" });
    await p.move("a", "rare", 2);
    await env.DB.prepare(
      `INSERT INTO label_moves SELECT 'lbm_' || ?1 || value, ?1, ?2, 'busy', 1, 1, '', 0, '[]'
       FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 1000) SELECT value FROM n)`,
    )
      .bind(p.projectId, template.id)
      .run();
    const start = p.metered.statements.length;
    expect(await p.history("a", "rare")).toMatchObject([{ label: "rare", to: 2 }]);
    expect(costOf(p.metered, start).rowsRead).toBeLessThan(20);
    const last = p.metered.statements.at(-1);
    expect((last ? await planOf(env.DB, last) : []).join()).not.toContain("TEMP B-TREE");
  });

  it("refuse a cursor of another list or none at all", async () => {
    const p = templateProject();
    for (const name of ["a", "b"]) await p.create(name, { text: name });
    const { nextCursor } = await p.use.list(p.principal, { limit: 1, archived: false });
    for (const cursor of [nextCursor ?? "", "%", "dmVyc2lvbnMgeA", ""])
      expect(await refusal(p.use.versions(p.principal, { name: "a", limit: 1, cursor }))).toMatchObject({
        code: "invalid_request",
        param: "cursor",
      });
  });

  it.each([
    ["all but a few", 20, 2000],
    ["a few", 0, 20],
  ])("read rows in proportion to the page, not to the project, of which %s are archived", async (_, from, to) => {
    const p = templateProject();
    await env.DB.prepare(
      `INSERT INTO templates SELECT 'tpl_' || ?1 || value, ?1, 't' || (100000 + value), '', 'text', 0,
         CASE WHEN value > ${from} AND value <= ${to} THEN 1 END, 0, 0
       FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 2000) SELECT value FROM n)`,
    )
      .bind(p.projectId)
      .run();
    await env.DB.prepare(
      "INSERT INTO template_versions SELECT 'ver' || id, project_id, id, 1, '{\"text\":\"\"}', id, '{}', '', '', 0 FROM templates WHERE project_id = ?",
    )
      .bind(p.projectId)
      .run();
    for (const archived of [true, false])
      for (const query of [undefined, "t101", "t10000"]) {
        const start = p.metered.statements.length;
        const page = await p.use.list(p.principal, { limit: 10, archived, query });
        for (const { name } of page.items) expect(name).toMatch(new RegExp(`^${query ?? ""}`));
        if (query === undefined) expect(page.items).toHaveLength(10);
        expect(costOf(p.metered, start).rowsRead).toBeLessThan(11 * 6);
        const list = p.metered.statements.at(-1);
        const steps = list ? await planOf(env.DB, list) : [];
        expect(steps[0]).toMatch(archived ? /USING INDEX templates_archived/ : /USING INDEX templates_active/);
      }
    const found = p.metered.statements.length;
    await p.use.get(p.principal, { name: "t101000", version: "latest" });
    expect(costOf(p.metered, found).rowsRead).toBeLessThan(10);
    const last = p.metered.statements.at(-1);
    const plan = last ? await planOf(env.DB, last) : [];
    expect(plan.join("\n")).not.toMatch(/SCAN (templates|versions|template_versions|template_labels)/);
  });
});

describe("comparing and previewing", () => {
  it("shows what changed between two versions and what breaks", async () => {
    const p = templateProject();
    await p.create("a", { ...chat("Hi {{name}}"), model: "m" });
    await p.save("a", chat("Hello {{name}}, {{tone}}"));
    const diff = await p.use.diff(p.principal, { name: "a", from: "production", to: "latest" });
    expect(diff).toMatchObject({ from: 1, to: 2, breaking: [{ variable: "tone", change: "required_added" }] });
    expect(diff.changes.map(({ path, kind }) => `${path} ${kind}`)).toEqual([
      "messages.0.content changed",
      "model removed",
    ]);
    expect(diff.text).toBe(" [user]\n-Hi {{name}}\n+Hello {{name}}, {{tone}}");
    expect(await refusal(p.use.diff(p.principal, { name: "a", from: 1, to: 9 }))).toMatchObject({
      code: "not_found",
      param: "to",
    });
  });

  it("renders contents that are not saved, and writes nothing", async () => {
    const p = templateProject();
    await p.create("sig", { text: "-- {{by}}" });
    const start = p.metered.statements.length;
    const rendered = await p.render({
      content: { ...chat("Hi\n{{> sig}}"), model: "m" },
      variables: { by: "Ann" },
      messages: [{ role: "user", content: "then" }],
    });
    expect(rendered).toEqual({
      messages: [
        { role: "user", content: "Hi\n-- Ann" },
        { role: "user", content: "then" },
      ],
      variables: { by: "Ann" },
      partials: [{ name: "sig", version: 1 }],
      model: "m",
    });
    expect(costOf(p.metered, start).rowsWritten).toBe(0);
  });
});
