import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import { limits } from "../../contract/limits.ts";
import { AppError } from "../../core/errors.ts";
import { parseJson } from "../../core/jsonText.ts";
import { readBodyText } from "../body.ts";
import type { RequestContext } from "../context.ts";
import { fromTrpc } from "./init.ts";
import { appRouter } from "./router.ts";
import { watchDirectly } from "./watch.ts";

const methods = ["GET", "HEAD", "POST"];

/** The typed procedures, mounted on /trpc. Bodies pass the same checks as on every door before tRPC reads them. */
export async function trpcDoor(request: Request, context: RequestContext): Promise<Response> {
  if (!methods.includes(request.method))
    throw new AppError("method_not_allowed", `${request.method} is not answered here; use GET or POST.`);
  // tRPC would refuse it too, but before there is a context to take the request's id from.
  const calls = new URL(request.url).pathname.split(/,|%2C/i).length;
  if (calls > limits.maxBatchCalls)
    throw new AppError("invalid_request", `A batch holds at most ${limits.maxBatchCalls} calls.`);
  const watched = await watchDirectly(request, context);
  if (watched) return watched;
  return fetchRequestHandler({
    endpoint: "/trpc",
    req: await checked(request),
    router: appRouter,
    maxBatchSize: limits.maxBatchCalls,
    createContext: () => context,
    onError: ({ error }) => context.logError(fromTrpc(error)),
    responseMeta({ errors }) {
      const [first] = errors;
      const seconds = first && fromTrpc(first).retryAfterSeconds;
      return seconds === undefined ? {} : { headers: new Headers({ "retry-after": String(seconds) }) };
    },
  });
}

async function checked(request: Request): Promise<Request> {
  const headers = new Headers(request.headers);
  // Only batches stream; asked for one call, tRPC would refuse this before there is a request id to tell.
  if (!new URL(request.url).searchParams.has("batch")) headers.delete("trpc-accept");
  const { url, method, signal } = request;
  if (method !== "POST") return new Request(url, { method, headers, signal });
  const body = await readBodyText(request);
  if (body !== "") parseJson(body);
  headers.set("content-type", "application/json");
  return new Request(url, { method, headers, body, signal });
}
