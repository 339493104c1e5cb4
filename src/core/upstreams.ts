import type { JsonObject } from "../contract/chat.ts";

/** Which upstream serves a model, and what must not be quoted from its errors. */
export type Route = {
  upstream: string;
  simulated: boolean;
  /** The model's name on the wire. */
  model: string;
  /** The upstream's address, host and key. */
  secrets: readonly string[];
};

/** Finds the upstream of a model; null when none is configured for it. */
export type RouteModel = (model: string) => Route | null;

export type UpstreamCall = { route: Route; body: JsonObject; stream: boolean; signal: AbortSignal };

/**
 * Sends one chat completion and resolves with the upstream's answer once its headers are in, whatever the status.
 * Redirects are not followed. Rejects with an AppError: `upstream_error` when no answer came.
 */
export type CallUpstream = (call: UpstreamCall) => Promise<Response>;
