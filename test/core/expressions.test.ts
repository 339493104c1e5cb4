import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { AppError } from "../../src/core/errors.ts";
import { evaluate, newBudget, parseExpression } from "../../src/core/expressions.ts";

const run = (text: string, body: unknown, headers: Record<string, string> = {}) =>
  evaluate(parseExpression(text, "filter"), { body, headers }, newBudget());

const issue = {
  action: "opened",
  issue: { number: 7, title: "It broke", labels: [{ name: "bug" }, { name: "urgent" }], user: { login: "ada" } },
};

describe("an expression", () => {
  it.each([
    ["issue.title", "It broke"],
    ["issue.labels[].name", ["bug", "urgent"]],
    ["issue.labels[?name == 'bug'] | [0].name", "bug"],
    ["join(', ', issue.labels[].name)", "bug, urgent"],
    ["issue.{who: user.login, n: number}", { who: "ada", n: 7 }],
    ["action == 'opened' && length(issue.labels) > `1`", true],
    ["map(&name, issue.labels)", ["bug", "urgent"]],
    ["sort_by(issue.labels, &name)[-1].name", "urgent"],
    ["$.action", "opened"],
    ["issue.missing.deeper", null],
    ["@", issue],
    ["to_string(issue.user)", '{"login":"ada"}'],
    ["not_null(issue.missing, issue.user.login)", "ada"],
  ])("%s finds %j", (text, found) => {
    expect(run(text, issue)).toEqual(found);
  });

  it("finds the headers that it names, also inside of functions, and tells which they are", () => {
    const text =
      "$headers.\"x-github-event\" == 'issues' && map(&join('', [name, $headers.\"X-Other\"]), issue.labels)";
    expect(parseExpression(text, "filter").headers).toEqual(["x-github-event", "x-other"]);
    expect(run(text, issue, { "x-github-event": "issues", "x-other": "!" })).toEqual(["bug!", "urgent!"]);
  });

  it("finds a header by its name in any case", () => {
    const found = evaluate(
      parseExpression('$headers."X-Other"', "filter"),
      { body: {}, headers: { "x-other": "!" } },
      newBudget(),
    );
    expect(found).toBe("!");
  });

  it("names no header that is secret, as no other part of a mapping does", () => {
    for (const text of ["$headers.authorization", '$headers."Cookie"', "join('', [a, $headers.\"Set-Cookie\"])"])
      expect(() => parseExpression(text, "filter"), text).toThrow(/^filter: the header .* is secret/);
  });

  it("tells whether it may depend on headers", () => {
    for (const text of ["$headers.x", "keys($headers)[0]", "a || $headers | x"])
      expect(parseExpression(text, "eventId").readsHeaders, text).toBe(true);
    expect(parseExpression("a.headers", "eventId").readsHeaders).toBe(false);
  });

  it.each([
    "issue.",
    "[",
    "foo(",
    "''' '",
    "a b",
    "nothing(@)",
    "let $a = @ in $a",
    "$other",
    "{__proto__: @}",
    "replace(@, 'a', 'b')",
    "pad_left(@, `9`)",
  ])("%s is refused when it is parsed, by the name of its place", (text) => {
    const refused = () => parseExpression(text, "variables.title");
    expect(refused).toThrow(AppError);
    expect(refused).toThrow(/^variables\.title: /);
  });

  it("has a bounded length", () => {
    expect(() => parseExpression("a".repeat(limits.maxExpressionChars), "filter")).not.toThrow();
    expect(() => parseExpression("a".repeat(limits.maxExpressionChars + 1), "filter")).toThrow("filter: ");
    expect(() => parseExpression("(".repeat(limits.maxExpressionChars), "filter")).toThrow("filter: ");
  });

  it("says what does not fit the payload", () => {
    expect(() => run("abs(action)", issue)).toThrow(/abs/);
    expect(() => run("join(', ', issue)", issue)).toThrow(/join/);
  });

  it("finds no more than the payload has, whatever its keys", () => {
    const hostile = JSON.parse('{"__proto__": {"admin": true}, "toString": 1, "a": {"constructor": 2}}');
    expect(run("keys(@)", hostile)).toEqual(["__proto__", "toString", "a"]);
    expect(run("admin", hostile)).toBeNull();
    for (const inherited of [
      "toString",
      "constructor",
      "constructor.name",
      "__proto__",
      "valueOf.x",
      "a.hasOwnProperty",
    ])
      expect(run(inherited, { a: {} }), inherited).toBeNull();
    expect(run("constructor", { constructor: "Ferrari" })).toBe("Ferrari");
    expect(run("__proto__.admin", hostile)).toBe(true);
  });

  it("never ends but with a JSON value or an error", () => {
    const part = fc.constantFrom(
      "a",
      "b",
      "@",
      "[0]",
      "[]",
      "[*]",
      "*",
      "[?a]",
      "length(@)",
      "keys(@)",
      "[@, @]",
      "{a: @}",
    );
    const texts = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(" | "));
    fc.assert(
      fc.property(texts, fc.jsonValue(), (text, body) => {
        let found: unknown;
        try {
          found = run(text, body);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(Error);
          return;
        }
        expect(JSON.parse(JSON.stringify(found ?? null))).toEqual(JSON.parse(JSON.stringify(found ?? null)));
      }),
      { numRuns: 300 },
    );
  });
});

describe("the cost of an expression", () => {
  const many = { a: Array.from({ length: 20_000 }, (_, n) => ({ n, s: "x".repeat(20) })) };

  it("is bounded by count where each step is small", () => {
    expect(run("length(a[?n > `10`])", many)).toBe(19_989);
    expect(() => run("a[].{x: $.a[].{y: $.a[].n}}", many)).toThrow("steps");
    expect(() => run("a[?contains($.a[].n, n)]", many)).toThrow("steps");
    expect(() => run("a[?$ == $]", many)).toThrow("steps");
  });

  it("is bounded where values double", () => {
    const doubling = Array.from({ length: 60 }, () => "[@,@]").join("|");
    for (const text of [
      doubling,
      `to_string(${"[@,@]|".repeat(40)}@)`,
      `${"[@,@][]|".repeat(60)}@`,
      `${"{a:@,b:@}|".repeat(60)}@ == @`,
    ])
      expect(() => run(text, many), text).toThrow(/steps|too large/);
  });

  it("is bounded for functions that make much of little", () => {
    const text = { s: "x".repeat(100_000), many: Array.from({ length: 10_000 }, () => "") };
    expect(() => run("join(s, many)", text)).toThrow("steps");
  });

  it.each([
    "l[?$.s[::-1]]",
    "l[?$.l[::-1]]",
    "l[?$.k || $.none]",
    "l[?!$.k]",
    "l[?$.k && $.none]",
    "l[?length($.s) == `1`]",
    "l[?merge($.k, $.k)]",
    "l[?$.l[]]",
    "l[?$.k.*]",
    "l[?sort($.l)]",
    "l[?$.k ? $.none : $.none]",
  ])("is bounded where every row looks at the whole: %s", (text) => {
    const body = {
      s: "x".repeat(500_000),
      l: Array.from({ length: 100_000 }, () => 1),
      k: Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`k${n}`, n])),
    };
    expect(() => run(text, body)).toThrow("steps");
  });

  it.each(["contains(text, word)", "find_first(text, word)", "find_last(text, word)", "split(word, text)"])(
    "is bounded where a long text is sought in a longer one: %s",
    (text) => {
      const body = { text: "a".repeat(120_000), word: `${"a".repeat(30_000)}b${"a".repeat(30_000)}` };
      expect(() => run(text, body)).toThrow("steps");
    },
  );

  it("lets a word be sought in the longest text", () => {
    expect(run("contains(text, 'Hello, world')", { text: "a".repeat(limits.maxHookBytes * 0.9) })).toBe(false);
  });

  it("is shared by all expressions of one event", () => {
    const budget = newBudget();
    const input = { body: many, headers: {} };
    const expression = parseExpression("length(a[?n > `10`])", "filter");
    expect(() => {
      for (let times = 0; times < 200; times += 1) evaluate(expression, input, budget);
    }).toThrow("steps");
  });

  it("lets the largest payload be looked through", () => {
    const body = { rows: Array.from({ length: 30_000 }, (_, n) => ({ id: n, name: `row ${n}` })) };
    expect(JSON.stringify(body).length).toBeGreaterThan(limits.maxHookBytes * 0.9);
    expect(run("length(rows[?ends_with(name, '77')])", body)).toBe(300);
    expect(String(run("to_string(@)", body)).length).toBeGreaterThan(900_000);
  });
});
