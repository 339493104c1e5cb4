import { expect, it } from "vitest";
import { parsePayload } from "../../src/core/payload.ts";

const form = "application/x-www-form-urlencoded";

it("a form is an object of its fields, and one that comes several times is a list", () => {
  expect(parsePayload("a=1&b=2&a=3&a=4", form)).toEqual({ a: ["1", "3", "4"], b: "2" });
});

it("a form of one field that comes as often as it can is parsed in time that grows with its length", () => {
  const began = performance.now();
  const parsed = parsePayload("a&".repeat(50_000), form) as { a: string[] };
  expect(parsed.a).toHaveLength(50_000);
  expect(performance.now() - began).toBeLessThan(1_000);
});
