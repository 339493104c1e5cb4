import fc from "fast-check";
import { expect, it } from "vitest";
import { topLevelSpan } from "../../src/core/jsonSpan.ts";

it("finds a top-level value in any JSON object, however it is written", () => {
  const spacing = fc.constantFrom(undefined, 1, "\t");
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })),
      fc.jsonValue(),
      spacing,
      (others, value, space) => {
        const { usage: _usage, ...rest } = others;
        const text = JSON.stringify({ ...rest, usage: value, last: { usage: "not this" } }, null, space);
        const span = topLevelSpan(text, "usage");
        expect(span && JSON.parse(text.slice(...span))).toEqual(JSON.parse(JSON.stringify(value)));
      },
    ),
  );
});

it("takes the last of equal keys, and finds none where there is none", () => {
  const text = '{"usage":1,"a":[{"usage":2}],"usage":3}';
  const span = topLevelSpan(text, "usage");
  expect(span && text.slice(...span)).toBe("3");
  expect(topLevelSpan('{"a":{"usage":1},"b":"usage"}', "usage")).toBeNull();
  expect(topLevelSpan("{}", "usage")).toBeNull();
});
