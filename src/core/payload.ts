import { AppError } from "./errors.ts";
import { isObject } from "./json.ts";
import { checkDepth } from "./jsonText.ts";

const jsonType = /^application\/(?:[\w.+-]*\+)?json\s*(?:;|$)/i;
const formType = /^application\/x-www-form-urlencoded\s*(?:;|$)/i;

/**
 * A received body as expressions see it. JSON is what it says, but an integer that a number would round becomes its
 * digits as text. A form is an object of its fields, a list where one comes several times; one whose only field is
 * `payload` with JSON in it, as GitHub and Slack send them, is that JSON. Any other text that is not JSON is
 * `{text: …}`. Throws `invalid_request` for what calls itself JSON and is none, and for what is nested too deep.
 */
export function parsePayload(text: string, contentType: string | null): unknown {
  const type = contentType?.trim() ?? "";
  if (formType.test(type)) return parseForm(text);
  if (jsonType.test(type)) return parsePayloadJson(text);
  try {
    return parsePayloadJson(text);
  } catch (thrown) {
    if (/^\s*[[{]/.test(text) && thrown instanceof AppError && thrown.details?.["nested"]) throw thrown;
    return { text };
  }
}

function parseForm(text: string): unknown {
  const fields = new Map<string, string | string[]>();
  for (const [name, value] of new URLSearchParams(text)) {
    const before = fields.get(name);
    // Not a new list each time: a field may come as often as a body has room for.
    if (Array.isArray(before)) before.push(value);
    else fields.set(name, before === undefined ? value : [before, value]);
  }
  const payload = fields.get("payload");
  if (fields.size === 1 && typeof payload === "string") {
    const inner = parsedOrNull(payload);
    if (isObject(inner)) return inner;
  }
  return Object.fromEntries(fields);
}

function parsedOrNull(text: string): unknown {
  try {
    return parsePayloadJson(text);
  } catch {
    return null;
  }
}

type SourceReviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;

const digitsOfUnsafe: SourceReviver = (_, value, { source }) =>
  typeof value === "number" && !Number.isSafeInteger(value) && source !== undefined && /^-?[0-9]+$/.test(source)
    ? source
    : value;

const maybeUnsafeNumber = /[0-9]{16}/;

function parsePayloadJson(text: string): unknown {
  try {
    checkDepth(text);
  } catch (thrown) {
    const { code, message } = thrown as AppError;
    throw new AppError(code, message, { param: null, details: { nested: true } });
  }
  try {
    const reviver = digitsOfUnsafe as (this: unknown, key: string, value: unknown) => unknown;
    return maybeUnsafeNumber.test(text) ? JSON.parse(text, reviver) : JSON.parse(text);
  } catch (cause) {
    throw new AppError("invalid_request", "The body is not valid JSON.", { cause });
  }
}
