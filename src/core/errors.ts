import type * as z from "zod";
import { type ErrorCode, type ErrorEnvelope, errorTable } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";

export type ErrorOptions = {
  /** The field at fault, as a dotted path. */
  param?: string | null;
  details?: Record<string, unknown>;
  /** Goes to the log, never to a client. */
  cause?: unknown;
  retryAfterSeconds?: number;
  /** Sent along by a door whose answer is this error alone. */
  headers?: Readonly<Record<string, string>>;
};

/** The one error that clients see: code, message and param are theirs; the cause stays ours. */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly details: Record<string, unknown> | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.param = options.param ?? null;
    this.details = options.details;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.headers = options.headers ?? {};
  }

  get status(): number {
    return errorTable[this.code].status;
  }
}

/**
 * Whatever was thrown, as an AppError: a database that cannot be asked is `unavailable`, what we did not foresee is
 * `internal`, and neither says anything more.
 */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  if (isOutage(thrown))
    return new AppError("unavailable", "The database cannot be asked at the moment.", {
      cause: thrown,
      retryAfterSeconds: limits.unavailableRetryAfterSeconds,
    });
  return new AppError("internal", "Something went wrong on our side.", { cause: thrown });
}

/** D1 words its failures so, wherever in the chain of causes; a constraint that did not hold is a mistake of ours. */
function isOutage(thrown: unknown): boolean {
  for (let error = thrown; error instanceof Error; error = error.cause)
    if (error.message.startsWith("D1_ERROR")) return !error.message.includes("constraint failed");
  return false;
}

/** OpenAI's envelope; `code` is the upstream's own where one was given in the details. */
export function errorEnvelope(error: AppError): ErrorEnvelope {
  const upstreamCode = error.details?.["upstreamCode"];
  return {
    error: {
      message: error.message,
      type: errorTable[error.code].openai,
      param: error.param,
      code: typeof upstreamCode === "string" ? upstreamCode : error.code,
    },
  };
}

/** The first issue of a failed parse, named by its path. */
export function invalidRequest(error: z.ZodError, prefix = ""): AppError {
  const issue = deepestIssue(error.issues);
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
  const param = [...(prefix ? [prefix] : []), ...(issue?.path ?? []), ...unknown].join(".");
  const message = issue?.message ?? "invalid";
  return new AppError("invalid_request", param ? `${param}: ${message}` : message, {
    param: param || null,
    cause: error,
  });
}

type Issue = z.core.$ZodIssue;

/** Unions report one list of issues per branch; the branch that got furthest names the field at fault. */
function deepestIssue(issues: readonly Issue[]): Issue | undefined {
  const issue = issues[0];
  if (issue?.code !== "invalid_union") return issue;
  const inner = issue.errors
    .map((branch) => deepestIssue(branch))
    .filter((candidate) => candidate !== undefined)
    .sort((a, b) => b.path.length - a.path.length)[0];
  if (!inner || inner.path.length === 0) return issue;
  return { ...inner, path: [...issue.path, ...inner.path] };
}
