import { limits } from "../contract/limits.ts";
import type { AppError } from "./errors.ts";

/** What a failed attempt calls for: the same again, another model, or the caller. */
export type Verdict = "again" | "elsewhere" | "stop";

/**
 * Judges a failure by its class. What may pass (an overload, a broken connection, too many requests) is tried again;
 * what this upstream will not mend soon (its refusal of our credentials, silence, an answer that is none) is left to
 * another model; what the caller must mend is told at once.
 */
export function verdictOn(error: AppError): Verdict {
  const status = error.details?.["upstreamStatus"];
  switch (error.code) {
    case "rate_limited":
      return "again";
    case "upstream_error":
      return error.details?.["transient"] === true || (typeof status === "number" && status >= 500)
        ? "again"
        : "elsewhere";
    case "upstream_timeout":
      return typeof status === "number" ? "again" : "elsewhere";
    case "unavailable":
      return "elsewhere";
    default:
      return "stop";
  }
}

/**
 * Milliseconds to wait before try number `tries` + 1: what the upstream asked for, or a doubling pause with full
 * jitter; null when the upstream asked for longer than a waiting caller should be kept.
 */
export function pauseMs(tries: number, baseMs: number, retryAfterSeconds: number | undefined): number | null {
  if (retryAfterSeconds !== undefined) {
    const asked = retryAfterSeconds * 1000;
    return asked <= limits.maxRetryWaitMs ? asked : null;
  }
  return Math.random() * Math.min(limits.maxRetryPauseMs, baseMs * 2 ** tries);
}

/** Waits, or rejects with the signal's reason as soon as it aborts. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal.addEventListener("abort", abort, { once: true });
  });
}
