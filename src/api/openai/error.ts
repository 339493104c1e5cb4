import { type AppError, errorEnvelope } from "../../core/errors.ts";
import type { Told } from "../context.ts";

/** OpenAI's envelope, with the run's id where one is on record. */
export function openaiError(error: AppError, context: Told): Response {
  context.logError(error);
  const headers = new Headers({ "content-type": "application/json", ...error.headers });
  if (error.retryAfterSeconds !== undefined) headers.set("retry-after", String(error.retryAfterSeconds));
  const { runId, allow } = error.details ?? {};
  if (typeof runId === "string") headers.set("x-weir-run-id", runId);
  if (typeof allow === "string") headers.set("allow", allow);
  return new Response(JSON.stringify(errorEnvelope(error)), { status: error.status, headers });
}
