import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { appRouter } from "../../src/api/trpc/router.ts";
import type { Scope } from "../../src/contract/scopes.ts";
import type { Env } from "../../src/env.ts";
import worker from "../../src/index.ts";

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

export type DoorAnswer = { status: number; text: string; body: unknown };

/** Calls one procedure over HTTP, as a client without any library would. */
export async function callProcedure(
  { path, type }: Pick<DeclaredProcedure, "path" | "type">,
  call: { secret?: string; input?: unknown } = {},
): Promise<DoorAnswer> {
  const url = new URL(`https://weir.example.com/trpc/${path}`);
  const headers = new Headers();
  if (call.secret) headers.set("authorization", `Bearer ${call.secret}`);
  const init: RequestInit = { headers };
  if (type === "mutation") {
    init.method = "POST";
    headers.set("content-type", "application/json");
    init.body = JSON.stringify(call.input ?? {});
  } else if (call.input !== undefined) url.searchParams.set("input", JSON.stringify(call.input));
  const response = await fetchWorker(new Request(url, init));
  const text = await response.text();
  return { status: response.status, text, body: JSON.parse(text) };
}

/** Answers a request as the Worker would, its background work done; bindings of the test's unless given. */
export async function fetchWorker(request: Request, bindings: Env = env): Promise<Response> {
  const context = createExecutionContext();
  const response = await worker.fetch(request, bindings, context);
  const body = await response.arrayBuffer();
  await waitOnExecutionContext(context);
  return new Response(response.status === 204 ? null : body, response);
}
