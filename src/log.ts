import type { AppError } from "./core/errors.ts";

/** One line of JSON. Callers pass ids and codes, never a key, a prompt or an answer; of a `cause` only its kind is told. */
export function log(event: string, { cause, ...fields }: Record<string, unknown>): void {
  console.error(JSON.stringify({ event, ...fields, ...kindOf(cause) }));
}

/** Records a failure that is ours or our surroundings' (5xx); messages stay out of it, as they may quote a prompt. */
export function logFailure(error: AppError, requestId: string): void {
  if (error.status < 500) return;
  const { cause, code, details } = error;
  log("request_failed", {
    requestId,
    code,
    runId: details?.["runId"],
    upstreamStatus: details?.["upstreamStatus"],
    cause,
  });
}

/** Name and place of what was thrown. Its message may hold the parameters of a query, so only D1's own is told. */
function kindOf(cause: unknown): Record<string, unknown> {
  if (!(cause instanceof Error)) return {};
  const innermost = cause.cause instanceof Error ? cause.cause : cause;
  const fromD1 = innermost.message.startsWith("D1_ERROR");
  return {
    cause: innermost.name,
    ...(fromD1 && { message: innermost.message.slice(0, 300) }),
    at: innermost.stack
      ?.split("\n")
      .find((line) => line.trim().startsWith("at "))
      ?.trim(),
  };
}
