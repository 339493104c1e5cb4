import { appRouter } from "../../src/api/trpc/router.ts";
import type { Scope } from "../../src/contract/scopes.ts";
import { callWeir } from "./call.ts";

/** One procedure as the router declares it. */
export type DeclaredProcedure = {
  path: string;
  type: "query" | "mutation" | "subscription";
  scope: Scope | undefined;
  inputs: readonly unknown[];
  output: unknown;
};

type Definition = {
  type: DeclaredProcedure["type"];
  meta?: { scope?: Scope };
  inputs: unknown[];
  output?: unknown;
};

/** Every procedure of the router, by its dotted path. */
export const declaredProcedures: DeclaredProcedure[] = Object.entries(appRouter._def.procedures).map(
  ([path, procedure]) => {
    const { type, meta, inputs, output } = (procedure as unknown as { _def: Definition })._def;
    return { path, type, scope: meta?.scope, inputs, output };
  },
);

export type ProcedureAnswer = { status: number; text: string; body: unknown };

/** Calls one procedure over HTTP, as a client without any library would. */
export async function callProcedure(
  { path, type }: Pick<DeclaredProcedure, "path" | "type">,
  { secret, input }: { secret?: string; input?: unknown } = {},
): Promise<ProcedureAnswer> {
  const key = secret === undefined ? {} : { secret };
  const query = input === undefined ? "" : `?input=${encodeURIComponent(JSON.stringify(input))}`;
  const { response, settled } =
    type === "mutation"
      ? await callWeir(`/trpc/${path}`, { ...key, body: JSON.stringify(input ?? {}) })
      : await callWeir(`/trpc/${path}${query}`, key);
  const text = await response.text();
  await settled();
  return type === "subscription" ? streamed(text) : { status: response.status, text, body: JSON.parse(text) };
}

/** A subscription's stream read to its end: an error in it stands for the answer. */
function streamed(text: string): ProcedureAnswer {
  const [, error] = /event: serialized-error\ndata: (.*)/.exec(text) ?? [];
  if (error === undefined) return { status: 200, text, body: { result: { data: text } } };
  const body = { error: JSON.parse(error) as { data: { httpStatus: number } } };
  return { status: body.error.data.httpStatus, text: error, body };
}
