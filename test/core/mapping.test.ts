import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { CreateTriggerInput } from "../../src/contract/triggers.ts";
import { AppError } from "../../src/core/errors.ts";
import { newBudget } from "../../src/core/expressions.ts";
import { mapVariables, matches, parseMapping } from "../../src/core/mapping.ts";
import { parsePayload } from "../../src/core/payload.ts";

type Asked = { headers?: Record<string, string>; schema?: Record<string, unknown>; type?: string };

const parsed = (settings: object) =>
  parseMapping(CreateTriggerInput.parse({ name: "t", scheme: "github", template: "t", ...settings }));

const strings = (variables: Record<string, unknown>) => ({
  properties: Object.fromEntries(Object.keys(variables).map((name) => [name, { type: "string" }])),
});

function map(variables: Record<string, unknown>, text: string, { headers = {}, schema, type }: Asked = {}) {
  const input = { text, headers, body: parsePayload(text, type ?? null) };
  return mapVariables(parsed({ variables }), schema ?? strings(variables), {
    input,
    budget: newBudget(),
  });
}

function fault(work: () => unknown): AppError {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown;
    throw thrown;
  }
  throw new Error("was not refused");
}

const filtered = (filter: string, body: unknown, headers = {}) =>
  matches(parsed({ filter }), { text: "", headers, body }, newBudget());

describe("a payload", () => {
  it.each([
    ["application/json", '{"a":1}', { a: 1 }],
    ["application/vnd.github+json; charset=utf-8", "[1]", [1]],
    [null, '{"a":1}', { a: 1 }],
    ["text/plain", "hello", { text: "hello" }],
    ["application/xml", "<a/>", { text: "<a/>" }],
    [null, "", { text: "" }],
    ["text/plain", "7", 7],
    ["application/x-www-form-urlencoded", "a=1&b=x+y&a=2&c=", { a: ["1", "2"], b: "x y", c: "" }],
    ["application/x-www-form-urlencoded", `payload=${encodeURIComponent('{"a":1}')}`, { a: 1 }],
    ["application/x-www-form-urlencoded", "payload=no+json", { payload: "no json" }],
    [
      "application/x-www-form-urlencoded",
      `payload=${encodeURIComponent('{"a":1}')}&b=2`,
      { payload: '{"a":1}', b: "2" },
    ],
  ])("of type %s: %s", (type, text, body) => {
    expect(parsePayload(text, type)).toEqual(body);
  });

  it("keeps integers that a number would round as their digits", () => {
    expect(parsePayload('{"id":9007199254740993,"n":-12345678901234567890,"ok":42,"x":1e30}', null)).toEqual({
      id: "9007199254740993",
      n: "-12345678901234567890",
      ok: 42,
      x: 1e30,
    });
  });

  it("that calls itself JSON and is none, or is nested too deep, is refused", () => {
    expect(fault(() => parsePayload("{", "application/json")).code).toBe("invalid_request");
    const deep = "[".repeat(limits.maxJsonDepth + 1) + "]".repeat(limits.maxJsonDepth + 1);
    for (const type of ["application/json", null])
      expect(fault(() => parsePayload(deep, type)).code).toBe("invalid_request");
    expect(parsePayload("[not json", null)).toEqual({ text: "[not json" });
  });

  it("has its hostile keys as its own", () => {
    const body = parsePayload('{"__proto__":{"x":1}}', null) as object;
    expect(Object.keys(body)).toEqual(["__proto__"]);
    const form = parsePayload("__proto__=1&constructor=2", "application/x-www-form-urlencoded") as object;
    expect(Object.keys(form)).toEqual(["__proto__", "constructor"]);
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
  });
});

describe("a variable", () => {
  const text = JSON.stringify({ title: "It broke", n: 7, ok: true, none: null, user: { login: "ada" }, tags: ["a"] });

  it("comes from an expression, a constant, the body or a header", () => {
    const mapped = map(
      {
        title: "title",
        who: { expression: "user.login" },
        tone: { value: "kind" },
        all: { body: true },
        kind: { header: "X-GitHub-Event" },
      },
      text,
      { headers: { "x-github-event": "issues" } },
    );
    expect(mapped).toEqual({
      variables: { title: "It broke", who: "ada", tone: "kind", all: text, kind: "issues" },
      cut: [],
    });
  });

  it("is left out where there is nothing, or has the default that is given", () => {
    const absent = { a: "none", b: "missing.x", c: { header: "x-none" }, d: { expression: "none", default: "-" } };
    expect(map(absent, text).variables).toEqual({ d: "-" });
  });

  it("takes the type that the template declares where nothing is lost", () => {
    const schema = {
      properties: {
        number: { type: "string" },
        flag: { type: "string" },
        user: { type: "string" },
        body: { type: "object" },
        digits: { type: "number" },
        yes: { type: "boolean" },
        either: { type: ["string", "number"] },
        any: {},
        word: { type: "integer" },
      },
    };
    const variables = {
      number: "n",
      flag: "ok",
      user: "user",
      body: { body: true },
      digits: { value: "-12.5" },
      yes: { value: "true" },
      either: "n",
      any: "tags",
      word: { value: "no number" },
    };
    expect(map(variables, text, { schema }).variables).toEqual({
      number: "7",
      flag: "true",
      user: '{"login":"ada"}',
      body: JSON.parse(text),
      digits: -12.5,
      yes: true,
      either: 7,
      any: ["a"],
      word: "no number",
    });
  });

  it("is cut to its length, between characters, and what is cut is told", () => {
    const long = JSON.stringify({ a: "x".repeat(limits.mappedChars + 1), b: "ab😀c", c: "short" });
    const { variables, cut } = map({ a: "a", b: { expression: "b", maxChars: 3 }, c: "c" }, long);
    expect(variables).toEqual({ a: "x".repeat(limits.mappedChars), b: "ab", c: "short" });
    expect(cut).toEqual(["a", "b"]);
  });

  it("that is no text and too long is refused with its name and expression", () => {
    const long = JSON.stringify({ rows: Array.from({ length: 30_000 }, () => 1) });
    const refused = fault(() => map({ rows: "rows" }, long, { schema: { properties: { rows: { type: "array" } } } }));
    expect(refused).toMatchObject({ code: "too_large", param: "variables.rows", details: { expression: "rows" } });
  });

  it("holds no character that is no text, and is never a template", () => {
    const hostile = '{"t":"a\\u0000b\\ud800c{{x}}","o":{"k\\udc00":["\\u0000"]}}';
    const schema = { properties: { t: { type: "string" }, o: { type: "object" } } };
    expect(map({ t: "t", o: "o" }, hostile, { schema }).variables).toEqual({
      t: "a\uFFFDb\uFFFDc{{x}}",
      o: { "k\uFFFD": ["\uFFFD"] },
    });
  });

  it("whose expression does not fit is refused with the reason", () => {
    const refused = fault(() => map({ title: "abs(title)" }, text));
    expect(refused).toMatchObject({
      code: "invalid_request",
      param: "variables.title",
      details: { expression: "abs(title)" },
    });
    expect(refused.message).toMatch(/^variables\.title: .*abs/);
  });

  it.each([
    ["an unknown way", { x: { nothing: 1 } }],
    ["a secret header", { x: { header: "Authorization" } }],
    ["a cookie", { x: { header: "cookie" } }],
    ["an empty expression", { x: "" }],
    ["a body that is not", { x: { body: false } }],
  ])("from %s is refused", (_, variables) => {
    expect(() => parsed({ variables })).toThrow();
  });
});

describe("whatever is sent", () => {
  const types = fc.constantFrom(null, "application/json", "application/x-www-form-urlencoded", "text/plain", "x/y");
  const texts = fc.oneof(fc.json(), fc.string({ unit: "binary" }), fc.webQueryParameters(), fc.string());

  it("a body is parsed, or refused in our own words", () => {
    fc.assert(
      fc.property(texts, types, (text, type) => {
        try {
          expect(JSON.stringify(parsePayload(text, type))).toBeTypeOf("string");
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(AppError);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("a variable that is text is text of bounded length, and data of any other kind is as it was", () => {
    const schema = { properties: { text: { type: "string" }, any: {} } };
    const variables = { text: { expression: "@", maxChars: 50 }, any: { expression: "@", maxChars: 200_000 } };
    fc.assert(
      fc.property(fc.jsonValue(), (body) => {
        const mapped = map(variables, JSON.stringify(body), { schema, type: "application/json" }).variables;
        const { text = "" } = mapped as { text?: string };
        expect(text.length).toBeLessThanOrEqual(50);
        expect(text.isWellFormed() && !text.includes("\u0000")).toBe(true);
        // Characters that are no text are replaced, and what a number would round is told by its digits.
        if (/\\u|[0-9]{16}/.test(JSON.stringify(body))) return;
        expect(mapped["any"] ?? null).toEqual(JSON.parse(JSON.stringify(body)));
      }),
      { numRuns: 500 },
    );
  });
});

describe("a filter", () => {
  it.each([
    ["action == 'opened'", true],
    ["action == 'closed'", false],
    ["labels", false],
    ["labels[?name == 'bug']", false],
    ["user", true],
    ["empty", false],
    ["text", false],
    ["zero", true],
    ["missing", false],
    ["!missing", true],
    ["$headers.\"x-event\" == 'push'", true],
  ])("%s lets it through: %s", (filter, through) => {
    const body = { action: "opened", labels: [], user: { login: "ada" }, empty: {}, text: "", zero: 0 };
    expect(filtered(filter, body, { "x-event": "push" })).toBe(through);
  });

  it("that does not fit is refused by its name", () => {
    expect(fault(() => filtered("abs(action)", { action: "x" }))).toMatchObject({ param: "filter" });
  });
});
