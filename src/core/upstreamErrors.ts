import type { ErrorCode } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import { AppError } from "./errors.ts";
import { isObject } from "./json.ts";

/** What may pass as an upstream's `param` or `code`: a name, not a text that could quote an address or a key. */
const plainName = /^[A-Za-z_][A-Za-z0-9_.[\]]{0,63}$|^[0-9]{1,3}$/;

/** An upstream's refusal by status, before anything was streamed, as the error our client sees. */
export function statusError(response: Response, bodyText: string, secrets: readonly string[]): AppError {
  const upstream = readError(bodyText);
  const message =
    cleanMessage(upstream.message ?? "", secrets) || `The upstream answered with status ${response.status}.`;
  const details = { upstreamStatus: response.status, ...(upstream.code && { upstreamCode: upstream.code }) };
  switch (response.status) {
    case 400:
    case 413:
    case 422:
      return new AppError("invalid_request", message, { param: upstream.param, details });
    case 404:
      return new AppError("not_found", message, { param: upstream.param, details });
    case 401:
    case 403:
      // Our credentials at the upstream are at fault, not the caller's; its text may quote them.
      return new AppError("upstream_error", "The upstream refused weir's credentials.", {
        details: { upstreamStatus: response.status },
      });
    case 429: {
      const retryAfterSeconds = readRetryAfter(response.headers.get("retry-after"));
      return new AppError("rate_limited", message, {
        details,
        ...(retryAfterSeconds !== null && { retryAfterSeconds }),
      });
    }
    case 408:
    case 504:
      return new AppError("upstream_timeout", message, { details });
    default:
      return new AppError("upstream_error", message, { details });
  }
}

/** An error object that an upstream sent in place of a chunk or of a completion. */
export function bodyError(body: Record<string, unknown>, secrets: readonly string[]): AppError {
  const { message, code } = readError(JSON.stringify(body));
  const kind: ErrorCode = code === "429" || code === "rate_limit_exceeded" ? "rate_limited" : "upstream_error";
  return new AppError(kind, cleanMessage(message ?? "", secrets) || "The upstream reported an error.", {
    details: code ? { upstreamCode: code } : {},
  });
}

/** Seconds from a Retry-After header (seconds or a date), capped; null when it says nothing usable. */
export function readRetryAfter(header: string | null, nowMs = Date.now()): number | null {
  if (!header) return null;
  const text = header.trim();
  const seconds = /^\d+$/.test(text) ? Number(text) : Math.ceil((Date.parse(text) - nowMs) / 1000);
  if (!Number.isFinite(seconds) || seconds < 0) return null;
  return Math.min(seconds, limits.maxRetryAfterSeconds);
}

function readError(text: string): { message?: string; param: string | null; code?: string } {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { param: null };
  }
  const error = isObject(body) ? body["error"] : undefined;
  if (typeof error === "string") return { message: error, param: null };
  if (!isObject(error)) return { param: null };
  const { message, param, code } = error;
  return {
    ...(typeof message === "string" && { message }),
    param: typeof param === "string" && plainName.test(param) ? param : null,
    ...(plainName.test(String(code ?? "")) && { code: String(code) }),
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
