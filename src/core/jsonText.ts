import { limits } from "../contract/limits.ts";
import { AppError } from "./errors.ts";

/** A run of digits long enough to be rounded, or an exponent large enough to overflow. */
const maybeUnsafeNumber = /[0-9]{16}|[eE]\+?[0-9]{3}/;
/** Escapes of NUL and of surrogates; a pair of them is legal, so a hit is only a reason to look closer. */
const maybeUnsafeText = /\\u(?:0000|[dD][89a-fA-F])/;

type SourceReviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;

/**
 * Parses the JSON text of a request. Refuses, as `invalid_request` and before anything is built from it: nesting over
 * `maxJsonDepth`, integers beyond 2^53 (they would be rounded on their way upstream), numbers beyond a double, NUL
 * characters and lone surrogates (they have no UTF-8).
 */
export function parseJson(text: string): unknown {
  checkDepth(text);
  const value = maybeUnsafeNumber.test(text) ? parse(text, refuseUnsafeNumber) : parse(text);
  if (maybeUnsafeText.test(text)) checkTexts(value, []);
  return value;
}

function parse(text: string, reviver?: SourceReviver): unknown {
  try {
    return JSON.parse(text, reviver as (this: unknown, key: string, value: unknown) => unknown);
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError("invalid_request", "The body is not valid JSON.", { cause });
  }
}

const refuseUnsafeNumber: SourceReviver = (key, value, { source }) => {
  if (typeof value !== "number") return value;
  const integer = source !== undefined && /^-?[0-9]+$/.test(source);
  if (!Number.isFinite(value) || (integer && !Number.isSafeInteger(value)))
    throw new AppError("invalid_request", `${key}: the number does not fit a double without loss`, { param: key });
  return value;
};

/** Throws `invalid_request` for JSON text that is nested deeper than `limits.maxJsonDepth`. */
export function checkDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === 0x5c) i++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x5b || code === 0x7b) {
      if (++depth > limits.maxJsonDepth)
        throw new AppError("invalid_request", `The body is nested deeper than ${limits.maxJsonDepth} levels.`);
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
}

function checkTexts(value: unknown, path: string[]): void {
  if (typeof value === "string") checkText(value, path);
  if (typeof value !== "object" || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    checkText(key, path);
    checkTexts(item, [...path, key]);
  }
}

function checkText(text: string, path: string[]): void {
  if (text.isWellFormed() && !text.includes("\u0000")) return;
  const param = path.join(".");
  throw new AppError("invalid_request", `${param}: a NUL character or half a surrogate pair is not text`, { param });
}
