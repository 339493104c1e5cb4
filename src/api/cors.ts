import type { Principal } from "../core/principal.ts";

/** Request headers that a browser may send across origins, besides any `x-…` (the OpenAI SDK adds a dozen of those). */
const requestHeaders = [
  "authorization",
  "content-type",
  "trpc-accept",
  "idempotency-key",
  "last-event-id",
  "openai-organization",
  "openai-project",
];
const exposedHeaders = [
  "x-weir-run-id",
  "x-request-id",
  "retry-after",
  "location",
  "idempotency-replayed",
  "x-ratelimit-limit-requests",
  "x-ratelimit-limit-tokens",
  "x-ratelimit-remaining-tokens",
  "x-ratelimit-reset-tokens",
].join(", ");
/** Seconds for which browsers keep the answer; Chromium's own maximum. */
const preflightMaxAgeSeconds = 7_200;

/** Whether a browser is asking leave for a request across origins. */
export function isPreflight(request: Request): boolean {
  return (
    request.method === "OPTIONS" &&
    request.headers.has("origin") &&
    request.headers.has("access-control-request-method")
  );
}

/**
 * The answer to a preflight: any origin may ask, as the key that decides is not in it. No credentials: weir knows no
 * cookies.
 */
export function preflight(request: Request): Response {
  const asked = (request.headers.get("access-control-request-headers") ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => /^x-[a-z0-9-]{1,60}$/.test(name));
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "GET, POST",
      "access-control-allow-headers": [...requestHeaders, ...asked].join(", "),
      "access-control-max-age": String(preflightMaxAgeSeconds),
      vary: "Access-Control-Request-Headers",
    },
  });
}

/**
 * Marks an answer's headers, in place: readable by a page of the caller's own origins and by no other. `principal` is
 * null when nobody was authenticated; `origin` is the request's `Origin` header.
 */
export function allowOrigin(answer: Headers, origin: string | null, principal: Principal | null): void {
  answer.append("vary", "Origin");
  if (origin === null || !principal?.origins.includes(origin)) return;
  answer.set("access-control-allow-origin", origin);
  answer.set("access-control-expose-headers", exposedHeaders);
}
