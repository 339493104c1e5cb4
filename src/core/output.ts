import { Validator } from "@cfworker/json-schema";
import type { JsonObject } from "../contract/chat.ts";

/** An answer read as JSON against its schema: the value, or why it does not fit. */
export type Output = { valid: true; value: unknown } | { valid: false; message: string; path: string };

/** Some models wrap JSON in a Markdown fence although told not to. */
const fence = /^```(?:json)?\s*\n([\s\S]*?)\n?```$/;

export function readOutput(schema: JsonObject, content: string | null): Output {
  const text = (content ?? "").trim();
  let value: unknown;
  try {
    value = JSON.parse(fence.exec(text)?.[1] ?? text);
  } catch {
    return { valid: false, message: "the answer is not JSON", path: "" };
  }
  const { valid, errors } = new Validator(schema, "2020-12").validate(value);
  // The last error is the innermost one: the outer ones only say that a part did not fit.
  const error = errors.at(-1);
  if (valid) return { valid: true, value };
  const path = (error?.instanceLocation ?? "").replace(/^#\/?/, "").replaceAll("/", ".");
  return { valid: false, message: error?.error ?? "the answer does not fit the schema", path };
}
