import * as z from "zod";

/** What a key may do; every procedure declares the one it needs. */
export const Scope = z.enum([
  "templates:read",
  "templates:write",
  "completions:run",
  "runs:read",
  "runs:write",
  "webhooks:manage",
  "keys:manage",
  "upstreams:manage",
]);
export type Scope = z.infer<typeof Scope>;
