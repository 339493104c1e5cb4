import { TRPCError } from "@trpc/server";
import { TRPC_ERROR_CODES_BY_KEY } from "@trpc/server/rpc";
import { type ErrorData, errorTable } from "../../contract/errors.ts";
import type { AppError } from "../../core/errors.ts";
import type { Told } from "../context.ts";

/** tRPC's error shape for what is refused before a procedure is known: a body too large, no JSON, and the like. */
export function trpcError(error: AppError, context: Told): Response {
  context.logError(error);
  const { code } = new TRPCError({ code: errorTable[error.code].trpc });
  const weir: ErrorData = { code: error.code, param: error.param, requestId: context.requestId };
  const body = {
    error: {
      message: error.message,
      code: TRPC_ERROR_CODES_BY_KEY[code],
      data: { code, httpStatus: error.status, weir },
    },
  };
  const headers = new Headers({ "content-type": "application/json" });
  if (error.retryAfterSeconds !== undefined) headers.set("retry-after", String(error.retryAfterSeconds));
  return new Response(JSON.stringify(body), { status: error.status, headers });
}
