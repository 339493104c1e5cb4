/**
 * A frontend that knows weir by its router's type alone: tRPC's own client, a browser's libraries, no Worker types.
 * `run` is what such a page would do; `npm run example` starts it against a running weir.
 */
import { createTRPCClient, httpBatchLink, TRPCClientError } from "@trpc/client";
import type { AppRouter } from "weir/router";

export async function run(url: string, key: string): Promise<string[]> {
  const weir = createTRPCClient<AppRouter>({
    links: [httpBatchLink({ url: `${url}/trpc`, headers: { authorization: `Bearer ${key}` } })],
  });
  // Two calls at once travel as one request.
  const [templates, models] = await Promise.all([weir.templates.list.query({}), weir.models.list.query()]);
  const answer = await weir.completions.create.mutate({ template: "greeting", variables: { name: "Ada" } });
  const { run } = await weir.runs.get.query({ id: answer.runId }).catch(rethrow);
  const tokens: number | undefined = answer.usage?.completionTokens;
  return [
    `templates: ${templates.items.map((template) => template.name).join(", ")}`,
    `models: ${models.items.length}`,
    `answer: ${answer.content} (${tokens ?? "unknown"} tokens, run ${run.id})`,
  ];
}

/** Errors are typed too: code, field and request id. */
function rethrow(thrown: unknown): never {
  if (thrown instanceof TRPCClientError) {
    const { data } = thrown as TRPCClientError<AppRouter>;
    throw new Error(`${data?.weir.code} at ${data?.weir.param ?? "-"} (request ${data?.weir.requestId})`);
  }
  throw thrown;
}

// What the router's type refuses; the compiler fails on an expectation that no longer holds.
export function mistakes(weir: ReturnType<typeof createTRPCClient<AppRouter>>): unknown[] {
  return [
    // @ts-expect-error: no such procedure
    () => weir.templates.explode.mutate({}),
    // @ts-expect-error: a template's name is a string
    () => weir.completions.create.mutate({ template: 7 }),
    // @ts-expect-error: a list's page size is a number
    () => weir.runs.list.query({ limit: "10" }),
  ];
}
