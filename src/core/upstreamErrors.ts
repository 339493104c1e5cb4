import type { JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import { AppError } from "./errors.ts";
import { isObject, parsedJson } from "./json.ts";

/** What may pass as an upstream's `param` or `code`: a name, not a text that could quote an address or a key. */
const plainName = /^[A-Za-z_][A-Za-z0-9_.[\]]{0,63}$|^[0-9]{1,3}$/;

/** An upstream's refusal by status, before anything was streamed, as the error our client sees. */
export function statusError(response: Response, bodyText: string, secrets: readonly string[]): AppError {
  const retryAfterSeconds = readRetryAfter(response.headers.get("retry-after"));
  return refusal(response.status, reported(errorIn(parseObject(bodyText))), { secrets, retryAfterSeconds });
}

/** An error object that an upstream sent in place of a chunk or of a completion. */
export function bodyError(body: JsonObject, secrets: readonly string[]): AppError {
  const error = reported(errorIn(body));
  return refusal(statusIn(error), error, { secrets, retryAfterSeconds: null });
}

/** The error that a body reports, on the whole or in one of its choices; `null` and `false` are none. */
export function errorIn(body: JsonObject): unknown {
  if (body["error"]) return body["error"];
  if (!Array.isArray(body["choices"])) return undefined;
  for (const choice of body["choices"]) if (isObject(choice) && isObject(choice["error"])) return choice["error"];
  return undefined;
}

type Reported = { message?: string; param: string | null; code?: string; type?: string };
type Around = { secrets: readonly string[]; retryAfterSeconds: number | null };

function refusal(status: number, error: Reported, { secrets, retryAfterSeconds }: Around): AppError {
  const message = cleanMessage(error.message ?? "", secrets) || `The upstream answered with status ${status}.`;
  const details = { upstreamStatus: status, ...(error.code && { upstreamCode: error.code }) };
  const waiting = retryAfterSeconds === null ? {} : { retryAfterSeconds };
  switch (status) {
    case 400:
    case 413:
    case 422:
      return new AppError("invalid_request", message, { param: error.param, details });
    case 404:
      return new AppError("not_found", message, { param: error.param, details });
    case 401:
    case 402:
    case 403:
      // Our account at the upstream is at fault, not the caller's key; its text may quote either.
      return new AppError("upstream_error", "The upstream refused weir's credentials.", {
        details: { upstreamStatus: status },
      });
    case 429:
      return new AppError("rate_limited", message, { details, ...waiting });
    case 408:
    case 504:
      return new AppError("upstream_timeout", message, { details, ...waiting });
    default:
      return new AppError("upstream_error", message, { details, ...waiting });
  }
}

/** The status that an error without one stands for: its code where that is a status, else its type. */
function statusIn({ code, type }: Reported): number {
  if (/^[45][0-9]{2}$/.test(code ?? "")) return Number(code);
  if (type === "invalid_request_error") return 400;
  return type === "rate_limit_error" || code === "rate_limit_exceeded" ? 429 : 502;
}

/** Seconds from a Retry-After header (seconds or a date), capped; null when it says nothing usable. */
export function readRetryAfter(
  header: string | null,
  nowMs = Date.now(),
  maxSeconds: number = limits.maxRetryAfterSeconds,
): number | null {
  if (!header) return null;
  const text = header.trim();
  const seconds = /^\d+$/.test(text) ? Number(text) : Math.ceil((Date.parse(text) - nowMs) / 1000);
  if (!Number.isFinite(seconds) || seconds < 0) return null;
  return Math.min(seconds, maxSeconds);
}

function parseObject(text: string): JsonObject {
  const body = parsedJson(text);
  return isObject(body) ? body : {};
}

function reported(error: unknown): Reported {
  if (typeof error === "string") return { message: error, param: null };
  if (!isObject(error)) return { param: null };
  const { message, param, code, type } = error;
  return {
    ...(typeof message === "string" && { message }),
    param: typeof param === "string" && plainName.test(param) ? param : null,
    ...(plainName.test(String(code ?? "")) && { code: String(code) }),
    ...(typeof type === "string" && { type }),
  };
}

/** Removes what identifies the upstream or its account: addresses, keys, organisations. */
export function cleanMessage(message: string, secrets: readonly string[]): string {
  let text = message;
  for (const secret of secrets) if (secret.length > 3) text = text.replaceAll(secret, "[removed]");
  return text
    .replace(/\b[a-z][a-z0-9+.-]*:\/\/[^\s"'<>)]+/gi, "[removed]")
    .replace(/\bBearer\s+\S+/gi, "[removed]")
    .replace(/\b(?:sk|pk|key|api)[-_][A-Za-z0-9_*.-]{6,}/g, "[removed]")
    .replace(/\b(?:org|proj|organization|organisation)[-_][A-Za-z0-9]{4,}/gi, "[removed]")
    .replace(/\b(organi[sz]ation)\s+[`'"]?[\w.-]+[`'"]?/gi, "$1 [removed]")
    .slice(0, limits.maxUpstreamMessageChars);
}
