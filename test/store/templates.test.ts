import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import type { VersionContent } from "../../src/contract/templates.ts";
import { costOf } from "../support/meteredD1.ts";
import { chat, refusal, templateProject } from "../support/templateProject.ts";

describe("creating a template", () => {
  it("stores version 1 under the label production, with history", async () => {
    const p = templateProject();
    const saved = await p.create("support/refund", { ...chat("Hi {{name}}"), model: "sim/echo" });
    expect(saved).toMatchObject({
      created: true,
      template: { name: "support/refund", kind: "chat", latestVersion: 1, labels: { production: 1 }, archived: false },
      version: {
        version: 1,
        template: "support/refund",
        createdBy: p.principal.keyId,
        content: { model: "sim/echo" },
        variables: { type: "object", required: ["name"] },
      },
    });
    expect(await p.use.get(p.principal, { name: "support/refund" })).toEqual({
      template: saved.template,
      version: saved.version,
    });
    expect(await p.history("support/refund")).toMatchObject([
      { label: "production", from: null, to: 1, by: p.principal.keyId, breaking: [] },
    ]);
  });

  it("is a conflict when the name is taken, and leaves the first as it is, even in a race", async () => {
    const p = templateProject();
    const all = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => p.create("a", chat(`text ${i}`))));
    const lost = all.filter((one) => one.status === "rejected").map(({ reason }) => reason.code);
    expect(lost).toEqual(Array.from({ length: 7 }, () => "conflict"));
    const winner = all.find((one) => one.status === "fulfilled")?.value;
    expect((await p.use.get(p.principal, { name: "a", version: "latest" })).version).toEqual(winner?.version);
    expect(await p.history("a")).toHaveLength(1);
  });

  it("lets two projects use one name", async () => {
    const [p, q] = [templateProject(), templateProject()];
    await p.create("a", chat("mine"));
    await q.create("a", { text: "yours" });
    expect((await p.use.get(p.principal, { name: "a" })).template.kind).toBe("chat");
    expect(await refusal(p.use.get(templateProject().principal, { name: "a" }))).toMatchObject({
      code: "not_found",
      param: "name",
    });
  });

  it.each<[string, VersionContent, string, string]>([
    ["bad syntax", chat("a\n{{#b}}"), "invalid_template", "content.messages.0.content"],
    ["an undeclared variable", { text: "{{a}}", variables: { type: "object" } }, "invalid_template", "content.text"],
    [
      "a schema of no object",
      { text: "a", variables: { type: "string" } },
      "invalid_template",
      "content.variables.type",
    ],
    ["too much text", { text: "é".repeat(limits.maxTemplateBytes / 2 + 1) }, "too_large", "content.text"],
    [
      "too much of all",
      { text: "a", tools: [{ type: "x", a: "y".repeat(limits.maxVersionBytes) }] },
      "too_large",
      "content",
    ],
    [
      "an answer schema that leads nowhere",
      {
        text: "a",
        responseFormat: { type: "json_schema", json_schema: { name: "n", schema: { $ref: "#/$defs/x" } } },
      },
      "invalid_template",
      "content.responseFormat.json_schema.schema",
    ],
    ["a missing snippet", { text: "{{> nobody}}" }, "not_found", "content.text"],
  ])("refuses %s before writing", async (_, content, code, param) => {
    const p = templateProject();
    expect(await refusal(p.create("a", content))).toMatchObject({ code, param });
    expect(costOf(p.metered).rowsWritten).toBe(0);
  });
});

describe("saving a version", () => {
  it("numbers versions from 1 and keeps each as it was", async () => {
    const p = templateProject();
    await p.create("a", chat("one"));
    const second = await p.save("a", chat("two"), { note: "shorter", description: "d", listed: true });
    expect(second).toMatchObject({
      created: true,
      version: { version: 2, note: "shorter" },
      template: { latestVersion: 2, labels: { production: 1 }, description: "d", listed: true },
    });
    expect((await p.use.get(p.principal, { name: "a", version: 1 })).version.content).toEqual(chat("one"));
    expect((await p.use.get(p.principal, { name: "a", version: "latest" })).version.content).toEqual(chat("two"));
  });

  it("returns the version that holds the same contents, whatever the order of their keys", async () => {
    const p = templateProject();
    await p.create("a", { ...chat("one"), model: "m", params: { temperature: 1, top_p: 1 } });
    await p.save("a", chat("two"));
    const again = await p.save("a", { params: { top_p: 1, temperature: 1 }, model: "m", ...chat("one") });
    expect(again).toMatchObject({ created: false, version: { version: 1 }, template: { latestVersion: 2 } });
    const listed = await p.save("a", chat("two"), { listed: true });
    expect(listed).toMatchObject({ created: false, template: { listed: true } });
  });

  it("gives 20 concurrent editors 20 different numbers", async () => {
    const p = templateProject();
    await p.create("a", chat("start"));
    const saved = await Promise.all(Array.from({ length: 20 }, (_, index) => p.save("a", chat(`edit ${index}`))));
    expect(saved.map(({ version }) => version.version).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, index) => index + 2),
    );
    for (const [index, { version }] of saved.entries()) expect(version.content).toEqual(chat(`edit ${index}`));
  });

  it("stores identical contents once, however many save them at the same time", async () => {
    const p = templateProject();
    await p.create("a", chat("start"));
    const saved = await Promise.all(Array.from({ length: 10 }, () => p.save("a", chat("same"))));
    expect(new Set(saved.map(({ version }) => version.id)).size).toBe(1);
    expect(saved.filter(({ created }) => created)).toHaveLength(1);
  });

  it("lets one of many edits of the same base through", async () => {
    const p = templateProject();
    await p.create("a", chat("start"));
    const edits = Array.from({ length: 6 }, (_, i) =>
      p.save("a", chat(`edit ${i}`), { baseVersion: 1, description: `edit ${i}` }),
    );
    const all = await Promise.allSettled(edits);
    const won = all.flatMap((one, index) => (one.status === "fulfilled" ? [`edit ${index}`] : []));
    const lost = all.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    expect(won).toHaveLength(1);
    expect(lost.map(({ code, param }) => `${code} ${param}`)).toEqual(Array(5).fill("conflict baseVersion"));
    const { template } = await p.use.get(p.principal, { name: "a" });
    expect(template).toMatchObject({ latestVersion: 2, description: won[0] });
  });

  it("refuses a stale base without writing, even for contents that an older version holds", async () => {
    const p = templateProject();
    await p.create("a", chat("one"));
    await p.save("a", chat("two"));
    const before = await p.use.get(p.principal, { name: "a" });
    const start = p.metered.statements.length;
    for (const text of ["one", "two", "three"])
      expect(await refusal(p.save("a", chat(text), { baseVersion: 1, description: "d", listed: true }))).toMatchObject({
        code: "conflict",
        param: "baseVersion",
      });
    expect(costOf(p.metered, start).rowsWritten).toBe(0);
    expect(await p.use.get(p.principal, { name: "a" })).toEqual(before);
    expect(await p.save("a", chat("one"), { baseVersion: 2, description: "d" })).toMatchObject({
      created: false,
      version: { version: 1 },
      template: { description: "d" },
    });
    expect(await p.save("a", chat("three"), { baseVersion: 2 })).toMatchObject({ created: true });
  });

  it("keeps the kind, and refuses archived and missing templates", async () => {
    const p = templateProject();
    await p.create("a", chat("one"));
    expect(await refusal(p.save("a", { text: "one" }))).toMatchObject({ code: "invalid_request", param: "content" });
    await p.use.archive(p.principal, { name: "a" });
    expect((await refusal(p.save("a", chat("two")))).code).toBe("conflict");
    expect(await refusal(p.save("b", chat("two")))).toMatchObject({ code: "not_found", param: "name" });
  });
});

describe("archiving", () => {
  it("ends use but not reading, and can be undone", async () => {
    const p = templateProject();
    await p.create("a", { text: "one" });
    await p.use.resolve(p.projectId, "a");
    const archived = await p.use.archive(p.principal, { name: "a" });
    expect(archived.archived).toBe(true);
    expect(await refusal(p.use.resolve(p.projectId, "a"))).toMatchObject({ code: "not_found" });
    expect((await refusal(p.render({ name: "a" }))).code).toBe("not_found");
    expect((await refusal(p.create("b", { text: "{{> a}}" }))).code).toBe("not_found");
    expect((await refusal(p.move("a", "beta", 1))).code).toBe("conflict");
    expect((await refusal(p.create("a", { text: "again" }))).code).toBe("conflict");
    expect((await p.use.get(p.principal, { name: "a" })).version.version).toBe(1);
    expect((await p.use.versions(p.principal, { name: "a", limit: 10 })).items).toHaveLength(1);
    expect((await p.use.restore(p.principal, { name: "a" })).archived).toBe(false);
    expect((await p.use.resolve(p.projectId, "a")).version).toBe(1);
    expect(await refusal(p.use.archive(p.principal, { name: "none" }))).toMatchObject({ code: "not_found" });
  });
});
