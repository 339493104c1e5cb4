import { expect, it } from "vitest";
import { lazily } from "../../src/api/lazily.ts";

it("makes a member once, when it is first asked for, and no other", () => {
  const made: string[] = [];
  const make = (name: string) => () => {
    made.push(name);
    return { name };
  };
  const parts = lazily({ one: make("one"), two: make("two") });
  expect(made).toEqual([]);
  expect(parts.two).toEqual({ name: "two" });
  expect(parts.two).toBe(parts.two);
  expect(made).toEqual(["two"]);
});

it("has no members but those it was given", () => {
  const parts = lazily({ one: () => 1 }) as Record<PropertyKey, unknown>;
  expect([parts["two"], parts["toString"], parts["constructor"], parts[Symbol.iterator]]).toEqual(
    Array.from({ length: 4 }, () => undefined),
  );
});
