import { Validator } from "@cfworker/json-schema";
import type { JsonObject } from "../contract/chat.ts";

/** An answer read as JSON against its schema: the value, or why it does not fit. */
export type Output = { valid: true; value: unknown } | { valid: false; message: string; path: string };

/** Some models wrap JSON in a Markdown fence although told not to. */
const fence = /^```(?:json)?\s*\n([\s\S]*?)\n?```$/;

/** Reads `content` as JSON and checks it; never throws, as the answer has been given and paid for. */
export function readOutput(schema: JsonObject, content: string | null): Output {
  let value: unknown;
  try {
    value = parsedAnswer(content);
  } catch {
    return { valid: false, message: "the answer is not JSON", path: "" };
  }
  try {
    return checked(schema, value);
  } catch {
    return { valid: false, message: "the answer cannot be checked against the schema", path: "" };
  }
}

/** The JSON that an answer is; throws a SyntaxError when it is none. */
export function parsedAnswer(content: string | null): unknown {
  const text = (content ?? "").trim();
  return JSON.parse(fence.exec(text)?.[1] ?? text);
}

function checked(schema: JsonObject, value: unknown): Output {
  const { valid, errors } = new Validator(schema, "2020-12").validate(value);
  if (valid) return { valid: true, value };
  // The last error is the innermost one: the outer ones only say that a part did not fit.
  const error = errors.at(-1);
  const path = (error?.instanceLocation ?? "")
    .split("/")
    .slice(1)
    .map((segment) => decodeURIComponent(segment).replaceAll("~1", "/").replaceAll("~0", "~"));
  return { valid: false, message: error?.error ?? "the answer does not fit the schema", path: path.join(".") };
}
