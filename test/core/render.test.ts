import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/contract/chat.ts";
import { limits } from "../../src/contract/limits.ts";
import { AppError } from "../../src/core/errors.ts";
import { parseMustache } from "../../src/core/mustache.ts";
import { newRendering, renderNodes } from "../../src/core/render.ts";

type Options = { schema?: JsonObject; partials?: Record<string, string> };

function render(text: string, data: unknown, { schema = { type: "object" }, partials = {} }: Options = {}): string {
  const snippets = Object.entries(partials).map(([reference, body]) => {
    const [name = ""] = reference.split("@");
    return [reference, { name, version: 1, text: body }] as const;
  });
  const source = { template: "t", param: "content.text" };
  return renderNodes(parseMustache(text, source), data, {
    rendering: newRendering(schema, new Map(snippets)),
    source,
  });
}

function refusal(run: () => unknown): AppError {
  try {
    run();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error("was not refused");
}

describe("rendering", () => {
  it("prints strings as they are and everything else as compact JSON, null as nothing", () => {
    const data = { s: '<b> & "q"', n: 1.5, t: true, f: false, o: { a: [1, "x"] }, l: [1, null], z: null };
    expect(render("{{s}}|{{n}}|{{t}}|{{f}}|{{o}}|{{l}}|{{z}}|", data)).toBe(
      '<b> & "q"|1.5|true|false|{"a":[1,"x"]}|[1,null]||',
    );
  });

  it("never calls a function, as specified lambdas would", () => {
    let called = false;
    const lambda = () => {
      called = true;
      return "planet";
    };
    expect(render("{{lambda}}{{#lambda}}x{{/lambda}}", { lambda })).toBe("x");
    expect(called).toBe(false);
  });

  it("names a missing variable with template, line and column", () => {
    const error = refusal(() => render("Hi\n  {{user.name}}", { user: {} }));
    expect(error).toMatchObject({
      code: "invalid_request",
      param: "variables.user.name",
      details: { template: "t", line: 2, column: 3 },
    });
  });

  it("names the snippet in which a variable is missing", () => {
    const partials = { "sig@2": "--\n{{who}}" };
    expect(refusal(() => render("{{> sig@2}}", {}, { partials })).details).toEqual({
      template: "sig",
      line: 2,
      column: 1,
    });
  });

  it("sees own properties only", () => {
    for (const name of ["toString", "hasOwnProperty", "valueOf"])
      expect(refusal(() => render(`{{${name}}}`, {})).param).toBe(`variables.${name}`);
    expect(refusal(() => render("{{s.length}}", { s: "abc" })).param).toBe("variables.s.length");
    expect(refusal(() => render("{{l.length}}", { l: [1] })).param).toBe("variables.l.length");
    expect(render("{{l.0}}", { l: ["first"] })).toBe("first");
  });

  it("takes a missing section as false only where the schema marks its name optional", () => {
    const schema = { type: "object", properties: { a: {}, b: {} }, required: ["b"] };
    expect(render("[{{#a}}x{{/a}}{{^a}}none{{/a}}]", {}, { schema })).toBe("[none]");
    expect(refusal(() => render("{{#b}}x{{/b}}", {}, { schema })).param).toBe("variables.b");
    expect(refusal(() => render("{{^c}}x{{/c}}", {}, { schema })).param).toBe("variables.c");
    expect(refusal(() => render("{{a}}", {}, { schema })).param).toBe("variables.a");
  });

  it("knows optional properties of a list's elements", () => {
    const item = { type: "object", properties: { name: {}, price: {} }, required: ["name"] };
    const schema = { type: "object", properties: { items: { type: "array", items: item } }, required: ["items"] };
    const text = "{{#items}}{{name}}{{#price}} at {{price}}{{/price}};{{/items}}";
    expect(render(text, { items: [{ name: "a", price: 3 }, { name: "b" }] }, { schema })).toBe("a at 3;b;");
  });

  it("indents a standalone partial's lines but not the values in them", () => {
    expect(render("> \n  {{> p}}\nend", { v: "1\n2" }, { partials: { p: "a\n{{v}}\n" } })).toBe("> \n  a\n  1\n2\nend");
  });

  it("indents a partial as if its text had been indented before it was parsed", () => {
    const pieces = ["{{v}}", "{{#v}}", "{{/v}}", "{{! c }}", "{{> q}}", "a", " ", "\n", "\n", "\r\n"];
    const data = { v: "1\n2" };
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (list) => {
        const body = list.join("");
        const reference = body.replace(/(^|\n)(?=[^\n])/g, "$1  ");
        const partials = (p: string) => ({ p, q: "x\n{{v}}\n\ny" });
        let expected: string;
        try {
          expected = render("{{> p}}", data, { partials: partials(reference) });
        } catch {
          return fc.pre(false);
        }
        expect(render("  {{> p}}", data, { partials: partials(body) })).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  it("bounds indentation before it is made", () => {
    const wide = " ".repeat(1_000);
    const partials = { p: `${wide}{{> q}}`, q: "a\n".repeat(30_000) };
    const error = refusal(() => render(`${wide}{{> p}}`, {}, { partials }));
    expect(error).toMatchObject({ code: "too_large", details: { limit: "maxRenderedChars" } });
  });

  it("refuses partials that include each other, naming the path", () => {
    const partials = { a: "{{> b}}", b: "{{#x}}{{> a}}{{/x}}" };
    expect(refusal(() => render("{{> a}}", { x: true }, { partials })).message).toContain("t → a → b → a");
  });

  it("refuses partials nested too deep", () => {
    const chain = (depth: number) =>
      Object.fromEntries(
        Array.from({ length: depth }, (_, at) => [`p${at}`, at + 1 < depth ? `{{> p${at + 1}}}` : "end"]),
      );
    expect(render("{{> p0}}", {}, { partials: chain(limits.maxPartialDepth) })).toBe("end");
    const error = refusal(() => render("{{> p0}}", {}, { partials: chain(limits.maxPartialDepth + 1) }));
    expect(error).toMatchObject({ code: "invalid_template" });
    expect(error.message).toContain("p0 → p1");
  });

  it("bounds the nodes it visits", () => {
    const list = Array.from({ length: 150 }, () => 1);
    const error = refusal(() => render("{{#l}}{{#l}}{{/l}}{{#l}}{{.}}{{/l}}{{/l}}", { l: list }));
    expect(error).toMatchObject({ code: "too_large", details: { limit: "maxRenderNodes" } });
  });

  it("bounds the text it makes", () => {
    const half = "x".repeat(limits.maxRenderedChars / 2);
    expect(render("{{a}}{{a}}", { a: half })).toHaveLength(limits.maxRenderedChars);
    const error = refusal(() => render("{{a}}{{a}}.", { a: half }));
    expect(error).toMatchObject({ code: "too_large", details: { limit: "maxRenderedChars" } });
  });

  it("never parses a value again", () => {
    const hostile = fc.oneof(
      fc.string(),
      fc.constantFrom("{{other}}", "{{#s}}", "{{/s}}", "{{> p}}", "{{=<% %>=}}", "<%other%>", "{{{v}}}", "{{!", "\n"),
      fc.array(fc.constantFrom("{{", "}}", "#", "/", ">", "other", "=", "\n"), { maxLength: 8 }).map((l) => l.join("")),
    );
    const partials = { p: "({{v}})" };
    fc.assert(
      fc.property(hostile, (v) => {
        const text = render(
          "{{v}}|{{#s}}{{v}}{{/s}}|{{> p}}|{{{v}}}{{other}}",
          { v, s: [1, 2], other: "o" },
          { partials },
        );
        expect(text).toBe(`${v}|${v}${v}|(${v})|${v}o`);
      }),
    );
  });
});
