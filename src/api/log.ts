import type { AppError } from "../core/errors.ts";

/** One line of JSON. Callers pass ids and codes, never a key, a prompt or an answer. */
export function log(event: string, fields: Record<string, unknown>): void {
  console.error(JSON.stringify({ event, ...fields }));
}

/** Records a failure that is ours or our surroundings' (5xx); messages stay out of it, as they may quote a prompt. */
export function logFailure(error: AppError, requestId: string): void {
  if (error.status < 500) return;
  const { cause, code, details } = error;
  const named = cause instanceof Error ? { cause: cause.name, at: cause.stack?.split("\n")[1]?.trim() } : {};
  log("request_failed", {
    requestId,
    code,
    runId: details?.["runId"],
    upstreamStatus: details?.["upstreamStatus"],
    ...named,
  });
}
