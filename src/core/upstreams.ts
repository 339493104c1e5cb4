import type { JsonObject } from "../contract/chat.ts";

/** Where a model is served, and what must not be quoted from there. */
export type Route = {
  /** The upstream's name: `default`, `sim`, or a project's own. */
  upstream: string;
  simulated: boolean;
  /** Whether it is the environment's, for all projects, and not a project's own. */
  shared: boolean;
  /** The model's name on the wire. */
  model: string;
  /** Address without a trailing slash. */
  baseUrl: string;
  apiKey: string | null;
  /** Sent with each call beside weir's own. */
  headers: Readonly<Record<string, string>>;
  /** A reasoning model thinks before its first token: its timers are longer. */
  reasoning: boolean;
  /** The project's jobs that may call it at a time; null: as many as the project's jobs. */
  maxJobs: number | null;
  /** The address, its host, the key and the headers' values. */
  secrets: readonly string[];
};

/** Finds the upstream of a model of a project; null when none is configured for it. */
export type RouteModel = (projectId: string, model: string) => Promise<Route | null>;

export type UpstreamCall = { route: Route; body: JsonObject; stream: boolean; signal: AbortSignal };

/**
 * Sends one chat completion and resolves with the upstream's answer once its headers are in, whatever the status.
 * Redirects are not followed. Rejects with an AppError: `upstream_error` when no answer came.
 */
export type CallUpstream = (call: UpstreamCall) => Promise<Response>;
