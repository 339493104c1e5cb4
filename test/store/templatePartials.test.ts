import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { SaveTemplateInput } from "../../src/contract/templates.ts";
import { newId } from "../../src/core/ids.ts";
import { renderPrompt } from "../../src/core/prompt.ts";
import { costOf } from "../support/meteredD1.ts";
import { chat, newPrincipal, refusal, templateProject } from "../support/templateProject.ts";

describe("snippets", () => {
  it("are included by label, number or production, and reported with their versions", async () => {
    const p = templateProject();
    await p.create("sig", { text: "old {{by}}" });
    await p.save("sig", { text: "new {{by}}" });
    await p.move("sig", "beta", 2);
    await p.create("a", chat("{{> sig}}|{{> sig@beta}}|{{> sig@1}}|{{> sig@latest}}"));
    const rendered = await p.render({ name: "a", variables: { by: "Ann" } });
    expect(rendered.messages[0]?.content).toBe("old Ann|new Ann|old Ann|new Ann");
    expect(rendered.partials).toEqual([
      { name: "sig", version: 1 },
      { name: "sig", version: 2 },
    ]);
  });

  it("may ask for new variables once their label has moved", async () => {
    const p = templateProject();
    await p.create("sig", { text: "-- {{by}}" });
    await p.create("a", chat("{{> sig}}"));
    await p.save("sig", { text: "-- {{by}}, {{town}}" });
    await p.move("sig", "production", 2, { allowBreaking: true });
    const rendered = await p.render({ name: "a", variables: { by: "Ann", town: "Rome" } });
    expect(rendered.messages[0]?.content).toBe("-- Ann, Rome");
    expect(await refusal(p.render({ name: "a", variables: { by: "Ann" } }))).toMatchObject({
      param: "variables.town",
      details: { template: "sig", line: 1, column: 12 },
    });
  });

  it("are text templates only", async () => {
    const p = templateProject();
    await p.create("talk", chat("hi"));
    expect(await refusal(p.create("a", chat("x\n {{> talk}}")))).toMatchObject({
      code: "invalid_template",
      details: { template: "a", line: 2, column: 2 },
    });
  });

  it("that include themselves are refused when the includer or the snippet is saved", async () => {
    const p = templateProject();
    expect((await refusal(p.create("self", { text: "{{> self}}" }))).message).toContain("self → self");
    await p.create("c", { text: "end" });
    await p.create("b", { text: "{{> c}}" });
    await p.create("a", { text: "{{> b}}" });
    const error = await refusal(p.save("c", { text: "{{#x}}{{> a}}{{/x}}" }));
    expect(error).toMatchObject({ code: "invalid_template", param: "content.text" });
    expect(error.message).toContain("c → a → b → c");
  });

  it("that would include themselves once a label moves are refused then", async () => {
    const p = templateProject();
    await p.create("a", { text: "a" });
    await p.create("b", { text: "b" });
    await p.save("b", { text: "{{> a}}" });
    await p.save("a", { text: "{{> b}}" });
    await p.move("a", "production", 2);
    const error = await refusal(p.move("b", "production", 2));
    expect(error.message).toContain("b → a → b");
    expect((await p.render({ name: "a", variables: {} })).text).toBe("b");
  });

  it("that came to include themselves behind our back are refused when rendered", async () => {
    const p = templateProject();
    await p.create("b", { text: "b" });
    const a = await p.create("a", { text: "{{> b}}" });
    await env.DB.prepare(
      "UPDATE template_versions SET content = ? WHERE template_id = (SELECT id FROM templates WHERE project_id = ? AND name = 'b')",
    )
      .bind(JSON.stringify({ text: "{{> a}}" }), p.projectId)
      .run();
    expect(a.created).toBe(true);
    const error = await refusal(p.render({ name: "a", variables: {} }));
    expect(error.code).toBe("invalid_template");
    expect(error.message).toContain("a → b → a");
  });

  it("nest to a bounded depth", async () => {
    const p = templateProject();
    await p.create("p0", { text: "end" });
    for (let depth = 1; depth <= limits.maxPartialDepth; depth += 1)
      await p.create(`p${depth}`, { text: `{{> p${depth - 1}}}` });
    expect((await p.render({ name: `p${limits.maxPartialDepth}` })).text).toBe("end");
    const error = await refusal(p.create("one-more", { text: `{{> p${limits.maxPartialDepth}}}` }));
    expect(error.message).toContain("deeper than 16: one-more → p16 → p15");
  });

  it("of another project are missing", async () => {
    const [p, q] = [templateProject(), templateProject()];
    await q.create("sig", { text: "theirs" });
    expect((await refusal(p.create("a", chat("{{> sig}}")))).code).toBe("not_found");
  });
});

describe("resolving a template", () => {
  it("means production unless told otherwise, and names what is missing", async () => {
    const p = templateProject();
    await p.create("a", chat("one"));
    await p.save("a", chat("two"));
    expect(await p.use.resolve(p.projectId, "a")).toMatchObject({ version: 1, label: "production", kind: "chat" });
    expect(await p.use.resolve(p.projectId, "a", 2)).toMatchObject({ version: 2, label: null });
    expect(await p.use.resolve(p.projectId, "a", "latest")).toMatchObject({ version: 2, label: "latest" });
    expect(await refusal(p.use.resolve(p.projectId, "a", "beta"))).toMatchObject({
      code: "not_found",
      param: "version",
    });
    expect(await refusal(p.use.resolve(p.projectId, "a", 3))).toMatchObject({ code: "not_found", param: "version" });
    expect(await refusal(p.use.resolve(p.projectId, "b"))).toMatchObject({ code: "not_found", param: "template" });
    expect((await refusal(p.use.resolve(newId("prj"), "a"))).code).toBe("not_found");
  });

  it("asks D1 once, and once per depth of partials, then not at all", async () => {
    const p = templateProject();
    await p.create("inner", { text: "i" });
    await p.create("outer", { text: "{{> inner}}" });
    await p.create("other", { text: "o" });
    await p.create("a", chat("{{> outer}}{{> other}}{{> other@1}}"));
    const start = p.metered.statements.length;
    const cold = await p.use.resolve(p.projectId, "a");
    expect(p.metered.statements.length - start).toBe(3);
    expect(costOf(p.metered, start).rowsRead).toBeLessThan(60);
    const warm = await p.use.resolve(p.projectId, "a");
    expect(p.metered.statements.length - start).toBe(3);
    expect(warm).toBe(cold);
    expect(renderPrompt(warm, {}).messages[0]?.content).toBe("ioo");
  });

  it("sees a change made through the same isolate at once, and keeps other projects' entries", async () => {
    const p = templateProject();
    await p.create("a", chat("one"));
    await p.use.resolve(p.projectId, "a", "latest");
    await p.save("a", chat("two"));
    expect((await p.use.resolve(p.projectId, "a", "latest")).version).toBe(2);
    await p.use.resolve(p.projectId, "a");
    await p.move("a", "production", 2);
    expect((await p.use.resolve(p.projectId, "a")).version).toBe(2);
    const start = p.metered.statements.length;
    await p.use.archive(newPrincipal(), { name: "a" }).catch(() => undefined);
    const asked = p.metered.statements.length;
    await p.use.resolve(p.projectId, "a");
    expect(p.metered.statements.length).toBe(asked);
    expect(asked).toBeGreaterThan(start);
  });

  it("may see a change made through another isolate late", async () => {
    const p = templateProject();
    await p.create("a", chat("one"));
    await p.use.resolve(p.projectId, "a", "latest");
    await p.elsewhere.save(p.principal, SaveTemplateInput.parse({ name: "a", content: chat("two") }));
    expect((await p.use.resolve(p.projectId, "a", "latest")).version).toBe(1);
    expect((await p.elsewhere.resolve(p.projectId, "a", "latest")).version).toBe(2);
  });
});
