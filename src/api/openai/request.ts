import type { Context } from "hono";
import type * as z from "zod";
import type { Scope } from "../../contract/scopes.ts";
import { AppError, invalidRequest } from "../../core/errors.ts";
import type { Principal } from "../../core/principal.ts";
import type { RequestContext } from "../context.ts";

/** The caller, who must have the scope. */
export async function allowed(context: RequestContext, scope: Scope): Promise<Principal> {
  const principal = await context.authenticate();
  if (!principal.scopes.includes(scope)) throw new AppError("forbidden", `This key lacks the scope ${scope}.`);
  return principal;
}

/** `null` counts as absent for the fields we know; the others are the upstream's to read. */
export function parseBody<Schema extends z.ZodObject>(schema: Schema, raw: Record<string, unknown>): z.infer<Schema> {
  const known = schema.shape;
  const body = Object.fromEntries(Object.entries(raw).filter(([name, value]) => value !== null || !(name in known)));
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw invalidRequest(parsed.error);
  return parsed.data;
}

export function refuseMethod(c: Context, allow: string): never {
  throw new AppError("method_not_allowed", `${c.req.method} is not answered here; use ${allow}.`, {
    details: { allow },
  });
}
