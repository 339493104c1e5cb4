import type { JsonObject } from "../contract/chat.ts";
import type { Callback } from "../contract/endpoints.ts";
import type { OnInterrupt, SubmitJobInput } from "../contract/jobs.ts";
import { limits } from "../contract/limits.ts";
import type { Variables } from "../contract/templates.ts";
import type { CompletionRequest } from "./completionRequest.ts";
import { AppError } from "./errors.ts";
import type { Prepared } from "./prepare.ts";
import type { Principal } from "./principal.ts";
import type { Timeouts } from "./relay.ts";
import type { RunStart } from "./runRecord.ts";

/**
 * Everything a job's actor needs, and nothing that must not be stored: models by name, which are routed anew for each
 * attempt, so that no upstream's address or key lies in it.
 */
export type JobSpec = {
  start: RunStart;
  /** The model asked for, then its fallbacks. */
  models: readonly string[];
  /** The upstream's body, whole but for the model. */
  body: JsonObject;
  timeouts: Timeouts;
  variables: Variables | null;
  outputSchema: JsonObject | null;
  keepContents: boolean;
  priority: number;
  /** Jobs of the project that may call upstreams at a time, as it was when this one was accepted; null: the default. */
  projectMaxJobs: number | null;
  runAtMs: number;
  deadlineAtMs: number;
  onInterrupt: OnInterrupt;
  /** Told of its end beside the endpoints that listen for that. */
  callback?: Callback;
};

/** A job as it is stored: its spec, and the request by which its template can be rendered again; null without one. */
export type StoredJob = { spec: JobSpec; request: CompletionRequest | null };

export type JobTerms = {
  priority: number;
  runAtMs: number;
  /** From the moment it may start. */
  deadlineMs: number;
  onInterrupt: OnInterrupt;
  callback?: Callback | undefined;
};

/** How a caller asks for a job to be run. */
export type JobOptions = Pick<
  SubmitJobInput,
  "priority" | "delayMs" | "runAt" | "deadlineMs" | "onInterrupt" | "callback"
>;

export function termsOf(input: JobOptions, nowMs: number): JobTerms {
  const asked = input.runAt === undefined ? nowMs + (input.delayMs ?? 0) : Date.parse(input.runAt);
  const runAtMs = Math.max(nowMs, asked);
  if (runAtMs > nowMs + limits.maxJobDelayMs)
    throw new AppError("invalid_request", `runAt: at most ${limits.maxJobDelayMs / 86_400_000} days ahead`, {
      param: "runAt",
    });
  const { priority, deadlineMs = limits.jobDeadlineMs, onInterrupt, callback } = input;
  return { priority, runAtMs, deadlineMs, onInterrupt, callback };
}

export function specOf(principal: Principal, prepared: Prepared, terms: JobTerms): JobSpec {
  const { start, candidates, body, timeouts, variables, outputSchema } = prepared;
  const { priority, runAtMs, deadlineMs, onInterrupt, callback } = terms;
  return {
    start,
    models: candidates.map(({ model }) => model),
    body,
    timeouts,
    variables,
    outputSchema,
    keepContents: principal.keepContents,
    priority,
    projectMaxJobs: principal.limits.projectMaxJobs,
    runAtMs,
    deadlineAtMs: runAtMs + deadlineMs,
    onInterrupt,
    ...(callback && { callback }),
  };
}

/** The JSON that is stored; `too_large` when no row holds it. */
export function storedJson(job: StoredJob): string {
  const json = JSON.stringify(job);
  // A UTF-16 unit is at most 3 bytes: most jobs need no closer look.
  if (json.length * 3 > limits.maxJobSpecBytes && new TextEncoder().encode(json).length > limits.maxJobSpecBytes)
    throw new AppError("too_large", `A job's request may take ${limits.maxJobSpecBytes} bytes once it is rendered.`);
  return json;
}
