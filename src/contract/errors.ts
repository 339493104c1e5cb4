import * as z from "zod";

/**
 * The one table of errors: our code, the HTTP status, tRPC's code and OpenAI's `type`.
 * Adding a code means adding a row; every door reads this table.
 */
export const errorTable = {
  invalid_request: { status: 400, trpc: "BAD_REQUEST", openai: "invalid_request_error" },
  unauthenticated: { status: 401, trpc: "UNAUTHORIZED", openai: "authentication_error" },
  budget_exceeded: { status: 402, trpc: "PAYMENT_REQUIRED", openai: "insufficient_quota" },
  forbidden: { status: 403, trpc: "FORBIDDEN", openai: "permission_error" },
  not_found: { status: 404, trpc: "NOT_FOUND", openai: "invalid_request_error" },
  method_not_allowed: { status: 405, trpc: "METHOD_NOT_SUPPORTED", openai: "invalid_request_error" },
  conflict: { status: 409, trpc: "CONFLICT", openai: "conflict_error" },
  too_large: { status: 413, trpc: "PAYLOAD_TOO_LARGE", openai: "invalid_request_error" },
  unsupported_media_type: { status: 415, trpc: "UNSUPPORTED_MEDIA_TYPE", openai: "invalid_request_error" },
  invalid_template: { status: 422, trpc: "UNPROCESSABLE_CONTENT", openai: "invalid_request_error" },
  rate_limited: { status: 429, trpc: "TOO_MANY_REQUESTS", openai: "rate_limit_error" },
  cancelled: { status: 499, trpc: "CLIENT_CLOSED_REQUEST", openai: "api_error" },
  internal: { status: 500, trpc: "INTERNAL_SERVER_ERROR", openai: "api_error" },
  upstream_error: { status: 502, trpc: "BAD_GATEWAY", openai: "api_error" },
  unavailable: { status: 503, trpc: "SERVICE_UNAVAILABLE", openai: "api_error" },
  upstream_timeout: { status: 504, trpc: "GATEWAY_TIMEOUT", openai: "api_error" },
} as const;

export type ErrorCode = keyof typeof errorTable;

export const ErrorCode = z.enum(Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]]);

/** What a tRPC client finds in `error.data.weir`. */
export const ErrorData = z.object({
  code: ErrorCode,
  /** The field at fault, as a dotted path; null when the request as a whole is. */
  param: z.string().nullable(),
  requestId: z.string(),
  /** Machine-readable particulars: breaking changes, the line and column in a template, … */
  details: z.record(z.string(), z.unknown()).optional(),
});
export type ErrorData = z.infer<typeof ErrorData>;

/** OpenAI's error envelope, sent on /v1. */
export const ErrorEnvelope = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});
export type ErrorEnvelope = z.infer<typeof ErrorEnvelope>;
