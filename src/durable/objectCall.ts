import { limits } from "../contract/limits.ts";
import { AppError } from "../core/errors.ts";

/**
 * Calls an object, by a new stub each time: one whose call has failed is done for. An object that is restarted under the
 * call, as by a deployment, is called once more, so this is for calls that may be repeated. `unavailable` when it is
 * restarted then too, or overloaded.
 * https://developers.cloudflare.com/durable-objects/best-practices/error-handling/
 */
export async function callObject<Result>(call: () => Promise<Result>): Promise<Result> {
  try {
    return await call();
  } catch (cause) {
    if (failureOf(cause) !== "restarted") throw told(cause);
  }
  return call().catch((cause: unknown) => {
    throw told(cause);
  });
}

function told(cause: unknown): unknown {
  if (failureOf(cause) === "unknown") return cause;
  const message = "What this asks for cannot be reached at the moment.";
  return new AppError("unavailable", message, { cause, retryAfterSeconds: limits.unavailableRetryAfterSeconds });
}

type Marked = { retryable?: unknown; overloaded?: unknown; durableObjectReset?: unknown };

/** By the marks that the runtime leaves on the errors of its own. */
function failureOf(cause: unknown): "restarted" | "overloaded" | "unknown" {
  if (!(cause instanceof Error)) return "unknown";
  const { retryable, overloaded, durableObjectReset } = cause as Error & Marked;
  if (overloaded === true) return "overloaded";
  return retryable === true || durableObjectReset === true ? "restarted" : "unknown";
}
