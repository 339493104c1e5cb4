import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { AppError } from "../../src/core/errors.ts";
import { parseMustache, type TemplateNode } from "../../src/core/mustache.ts";

const source = { template: "greeting", param: "content.text" };
const parse = (text: string) => bare(parseMustache(text, source));

function refusal(text: string): AppError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error(`parsed: ${text}`);
}

/** A tree without the notes that only indentation reads. */
function bare(nodes: readonly TemplateNode[]): unknown[] {
  return nodes.flatMap((node): unknown[] => {
    if (node.type === "text") return node.text === "" ? [] : [{ type: "text", text: node.text }];
    return [node.type === "section" || node.type === "inverted" ? { ...node, children: bare(node.children) } : node];
  });
}

describe("parsing a template", () => {
  it("makes a typed tree with the place of each tag", () => {
    expect(parse("Hi {{name}},\n{{#items}}\n- {{.}}\n{{/items}}\n{{> sig@production}}")).toEqual([
      { type: "text", text: "Hi " },
      { type: "variable", path: ["name"], at: { line: 1, column: 4 } },
      { type: "text", text: ",\n" },
      {
        type: "section",
        path: ["items"],
        at: { line: 2, column: 1 },
        children: [
          { type: "text", text: "- " },
          { type: "variable", path: [], at: { line: 3, column: 3 } },
          { type: "text", text: "\n" },
        ],
      },
      { type: "partial", reference: "sig@production", indent: "", at: { line: 5, column: 1 } },
    ]);
  });

  it("treats triple braces and & like plain tags", () => {
    const path = ["a", "b"];
    for (const text of ["{{a.b}}", "{{{a.b}}}", "{{&a.b}}", "{{& a.b }}"])
      expect(parse(text)).toEqual([{ type: "variable", path, at: { line: 1, column: 1 } }]);
  });

  it("keeps literal braces between set delimiters", () => {
    expect(parse("{{=<% %>=}}{{literal}} <%name%>")).toEqual([
      { type: "text", text: "{{literal}} " },
      { type: "variable", path: ["name"], at: { line: 1, column: 24 } },
    ]);
  });

  it("finds the end of a closing tag between delimiters that share a character", () => {
    expect(parse("{{=|| |=}}||#a|x||/a|y")).toMatchObject([
      { type: "section", children: [{ type: "text", text: "x" }] },
      { type: "text", text: "y" },
    ]);
  });

  it("keeps the line of several tags that print nothing, as the specification says", () => {
    expect(parse("{{#a}}{{> sig}}{{/a}}\nBye").at(-1)).toEqual({ type: "text", text: "\nBye" });
  });

  it("accepts names in any script", () => {
    expect(parse("{{姓名}}")).toMatchObject([{ path: ["姓名"] }]);
  });

  it.each([
    ["Hello\n  {{name", 2, 3, "never closed"],
    ["{{#a}}\n{{#b}}x{{/a}}", 2, 8, '"b" is still open'],
    ["one\n{{#items}} two", 2, 1, 'section "items" is never closed'],
    ["{{/a}}", 1, 1, "never opened"],
    ["a\nb {{=x=}}", 2, 3, "delimiters"],
    ["x {{}}", 1, 3, "not a variable's name"],
    ["{{a b}}", 1, 1, "not a variable's name"],
    ["{{a..b}}", 1, 1, "not a variable's name"],
    ["ok\n{{user.__proto__.x}}", 2, 1, "__proto__"],
    ["{{#constructor}}{{/constructor}}", 1, 1, "constructor"],
    ["{{^a.prototype}}{{/a.prototype}}", 1, 1, "prototype"],
    ["{{> Not A Name}}", 1, 1, "partial"],
    ["{{> sig@0}}", 1, 1, "partial"],
  ])("refuses %j at line %i, column %i", (text, line, column, words) => {
    const error = refusal(text);
    expect(error.code).toBe("invalid_template");
    expect(error.param).toBe("content.text");
    expect(error.details).toEqual({ template: "greeting", line, column });
    expect(error.message).toContain(words);
  });

  it("refuses what would cost the parser quadratic time, before parsing", () => {
    expect(refusal(`{{a${" ".repeat(60_000)}b}}`).message).toContain("white space");
    expect(parse(" ".repeat(limits.maxBlankRunChars))).toHaveLength(1);
  });

  it("bounds the nesting of sections", () => {
    const nested = (depth: number) => `${"{{#a}}".repeat(depth)}x${"{{/a}}".repeat(depth)}`;
    expect(parse(nested(limits.maxSectionDepth))).toHaveLength(1);
    expect(refusal(nested(limits.maxSectionDepth + 1)).message).toContain("nest deeper");
  });

  it("gives text without tags back as it was", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        fc.pre(!text.includes("{{"));
        expect(parse(text)).toEqual(text === "" ? [] : [{ type: "text", text }]);
      }),
    );
  });

  it("either parses or refuses with a place inside the text, whatever the text", () => {
    const pieces = [
      "{{",
      "}}",
      "{{{",
      "}}}",
      "#",
      "^",
      "/",
      "=",
      "!",
      ">",
      "&",
      "a",
      ".",
      " ",
      "\n",
      "\r\n",
      "<%",
      "%>",
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 24 }), (list) => {
        const text = list.join("");
        try {
          parse(text);
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          const { line, column } = error.details as { line: number; column: number };
          const lines = text.split("\n");
          expect(line).toBeLessThanOrEqual(lines.length);
          expect(column).toBeLessThanOrEqual((lines[line - 1] ?? "").length + 1);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
