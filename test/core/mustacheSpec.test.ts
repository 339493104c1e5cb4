import { describe, expect, it } from "vitest";
import { AppError } from "../../src/core/errors.ts";
import { parseMustache } from "../../src/core/mustache.ts";
import { newRendering, renderNodes } from "../../src/core/render.ts";
import { comments } from "../support/mustacheSpec/comments.ts";
import { delimiters } from "../support/mustacheSpec/delimiters.ts";
import { interpolation } from "../support/mustacheSpec/interpolation.ts";
import { inverted } from "../support/mustacheSpec/inverted.ts";
import { partials } from "../support/mustacheSpec/partials.ts";
import { sections } from "../support/mustacheSpec/sections.ts";
import type { SpecCase } from "../support/mustacheSpec/specCase.ts";

const modules = { comments, delimiters, interpolation, inverted, partials, sections };

/** Where weir departs from the specification on purpose, and what it does instead. */
const differences: Record<string, { why: "no HTML escaping" | "strict names" | "no recursion"; instead: string }> = {
  "interpolation: HTML Escaping": {
    why: "no HTML escaping",
    instead: 'These characters should be HTML escaped: & " < >\n',
  },
  "interpolation: Implicit Iterators - HTML Escaping": {
    why: "no HTML escaping",
    instead: 'These characters should be HTML escaped: & " < >\n',
  },
  "sections: Implicit Iterator - HTML Escaping": { why: "no HTML escaping", instead: '"(&)(")(<)(>)"' },
  "interpolation: Basic Context Miss Interpolation": { why: "strict names", instead: "variables.cannot" },
  "interpolation: Triple Mustache Context Miss Interpolation": { why: "strict names", instead: "variables.cannot" },
  "interpolation: Ampersand Context Miss Interpolation": { why: "strict names", instead: "variables.cannot" },
  "interpolation: Dotted Names - Broken Chains": { why: "strict names", instead: "variables.a.b.c" },
  "interpolation: Dotted Names - Broken Chain Resolution": { why: "strict names", instead: "variables.a.b.c.name" },
  "interpolation: Dotted Names - Context Precedence": { why: "strict names", instead: "variables.b.c" },
  "interpolation: Dotted Names are never single keys": { why: "strict names", instead: "variables.a.b" },
  "sections: Context Misses": { why: "strict names", instead: "variables.missing" },
  "sections: Dotted Names - Broken Chains": { why: "strict names", instead: "variables.a.b.c" },
  "inverted: Context Misses": { why: "strict names", instead: "variables.missing" },
  "inverted: Dotted Names - Broken Chains": { why: "strict names", instead: "variables.a.b.c" },
  "partials: Failed Lookup": { why: "strict names", instead: "test" },
  "partials: Recursion": { why: "no recursion", instead: "test" },
};

const cases = Object.entries(modules).flatMap(([module, list]) =>
  list.map((one) => [`${module}: ${one.name}`, one] as const),
);

/** What weir makes of a case: its text, or the field its error names. */
function outcome(one: SpecCase): string {
  const snippets = Object.entries(one.partials ?? {}).map(
    ([name, text]) => [name, { name, version: 1, text }] as const,
  );
  const source = { template: "spec", param: "test" };
  try {
    return renderNodes(parseMustache(one.template, source), one.data, {
      rendering: newRendering({ type: "object" }, new Map(snippets)),
      source,
    });
  } catch (error) {
    if (error instanceof AppError) return error.param ?? "";
    throw error;
  }
}

describe("the Mustache specification", () => {
  it.each(cases.filter(([name]) => !(name in differences)))("renders as specified: %s", (_, one) => {
    expect(outcome(one), one.desc).toBe(one.expected);
  });

  it.each(cases.filter(([name]) => name in differences))("differs on purpose: %s", (name, one) => {
    expect(differences[name]?.instead).not.toBe(one.expected);
    expect(outcome(one), one.desc).toBe(differences[name]?.instead);
  });

  it("names no difference that the specification does not have", () => {
    const names = new Set<string>(cases.map(([name]) => name));
    expect(Object.keys(differences).filter((name) => !names.has(name))).toEqual([]);
    expect(cases).toHaveLength(136);
  });
});
