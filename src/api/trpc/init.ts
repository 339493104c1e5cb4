import { initTRPC, TRPCError } from "@trpc/server";
import { ZodError } from "zod";
import { type ErrorData, errorTable } from "../../contract/errors.ts";
import { limits } from "../../contract/limits.ts";
import type { Scope } from "../../contract/scopes.ts";
import { AppError, invalidRequest, toAppError } from "../../core/errors.ts";
import type { TrpcContext } from "./context.ts";

export interface ProcedureMeta {
  scope: Scope;
}

const t = initTRPC
  .context<TrpcContext>()
  .meta<ProcedureMeta>()
  .create({
    // Stack traces are for nobody's client.
    isDev: false,
    sse: {
      ping: { enabled: true, intervalMs: limits.pingMs },
      client: { reconnectAfterInactivityMs: 2 * limits.pingMs },
    },
    errorFormatter({ shape, error, ctx }) {
      const known = fromTrpc(error);
      const weir: ErrorData = {
        code: known.code,
        param: known.param,
        requestId: ctx?.requestId ?? "",
        ...(known.details && { details: known.details }),
      };
      return { ...shape, message: known.message, data: { ...shape.data, weir } };
    },
  });

/** What tRPC threw, in our terms: its own refusals (unknown path, wrong method, bad input) included. */
export function fromTrpc(error: TRPCError): AppError {
  if (error.cause instanceof AppError) return error.cause;
  if (error.code === "BAD_REQUEST" && error.cause instanceof ZodError) return invalidRequest(error.cause);
  const code = (Object.keys(errorTable) as (keyof typeof errorTable)[]).find(
    (candidate) => errorTable[candidate].trpc === error.code,
  );
  if (!code || code === "internal") return toAppError(error.cause ?? error);
  return new AppError(code, error.message, { cause: error });
}

const translated = t.middleware(async ({ next }) => {
  const result = await next();
  if (result.ok || (result.error.code !== "INTERNAL_SERVER_ERROR" && !(result.error.cause instanceof AppError)))
    return result;
  throw toTrpc(result.error.cause);
});

/** What a use case threw, in tRPC's terms. A subscription throws it itself: middlewares do not see its events. */
export function toTrpc(thrown: unknown): TRPCError {
  const cause = toAppError(thrown);
  return new TRPCError({ code: errorTable[cause.code].trpc, message: cause.message, cause });
}

export const router = t.router;

/** A procedure that needs `scope`: the caller is authenticated and checked before the input is read. */
export function procedure(scope: Scope) {
  return t.procedure
    .meta({ scope })
    .use(translated)
    .use(async ({ ctx, next }) => {
      const principal = await ctx.authenticate();
      if (!principal.scopes.includes(scope))
        throw new AppError("forbidden", `This key lacks the scope ${scope}.`, { details: { scope } });
      return next({ ctx: { ...ctx, principal } });
    });
}
