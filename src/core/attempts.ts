import { limits } from "../contract/limits.ts";
import type { Attempt } from "../contract/runs.ts";
import type { Circuits } from "./circuit.ts";
import { AppError, toAppError } from "./errors.ts";
import { pauseMs, sleep, verdictOn } from "./retry.ts";
import type { Route } from "./upstreams.ts";

/** A model that may answer, as it was asked for, and where it is served. */
export type Candidate = { model: string; route: Route };

export type AttemptPolicy = {
  /** Calls of one model at most. */
  perModel: number;
  /** Where the doubling pause between them starts, ms. */
  pauseMs: number;
  /** Failed completions in a row after which an upstream is left alone. */
  circuitFailures: number;
  /** Calls in all, where fewer than `limits.maxAttempts` are left. */
  maxCalls?: number;
};

type Outcome<Result> = { result: Result } | { error: AppError };

export type AttemptOptions<Result> = {
  /** In order of preference; not empty. */
  candidates: readonly Candidate[];
  projectId: string;
  policy: AttemptPolicy;
  circuits: Circuits;
  /** Every attempt is noted here, also when all fail. */
  attempts: Attempt[];
  elapsedMs: () => number;
  /** Ends the trying; its reason is then the error. */
  stop: AbortSignal;
  /** One call of one model, up to the moment from which there is no going back. */
  call: (candidate: Candidate, attempt: Attempt) => Promise<Result>;
};

/** Tries the candidates until one answers; rejects with the last failure when none does. */
export async function firstAnswer<Result>(options: AttemptOptions<Result>): Promise<Result> {
  let failure: AppError | null = null;
  for (const candidate of options.candidates) {
    const outcome = await tryModel(options, candidate);
    if ("result" in outcome) return outcome.result;
    failure = outcome.error;
    if (verdictOn(failure) === "stop" || !mayCall(options)) break;
  }
  throw failure ?? new AppError("internal", "There was nothing to try.");
}

async function tryModel<Result>(options: AttemptOptions<Result>, candidate: Candidate): Promise<Outcome<Result>> {
  const { policy, circuits } = options;
  const upstream = circuitOf(options.projectId, candidate.route);
  if (!circuits.admits(upstream, policy.circuitFailures)) return { error: resting() };
  try {
    for (let tries = 1; ; tries++) {
      const outcome = await tryOnce(options, candidate);
      const more = tries < policy.perModel && mayCall(options);
      const pause = "error" in outcome && more ? pauseAfter(outcome.error, tries, policy) : null;
      if (pause === null) return noted(circuits, upstream, outcome);
      await sleep(pause, options.stop);
    }
  } catch (thrown) {
    circuits.abandoned(upstream);
    throw thrown;
  }
}

function mayCall<Result>({ attempts, policy }: AttemptOptions<Result>): boolean {
  return attempts.length < Math.min(limits.maxAttempts, policy.maxCalls ?? limits.maxAttempts);
}

function pauseAfter(error: AppError, tries: number, policy: AttemptPolicy): number | null {
  return verdictOn(error) === "again" ? pauseMs(tries, policy.pauseMs, error.retryAfterSeconds) : null;
}

/** The environment's upstreams are everybody's; a project's own ones must not tell on another project's. */
function circuitOf(projectId: string, { upstream, baseUrl, shared }: Route): string {
  return shared ? baseUrl : `${projectId} ${upstream}`;
}

/** A complaint, about the request, our credentials or too many calls, shows that the upstream is up. */
function noted<Result>(circuits: Circuits, upstream: string, outcome: Outcome<Result>): Outcome<Result> {
  if ("error" in outcome && showsFailure(outcome.error)) circuits.failed(upstream);
  else circuits.succeeded(upstream);
  return outcome;
}

function showsFailure({ code, details }: AppError): boolean {
  const status = details?.["upstreamStatus"];
  const refused = typeof status === "number" && status >= 400 && status < 500;
  return code === "upstream_timeout" || (code === "upstream_error" && !refused);
}

async function tryOnce<Result>(
  { attempts, elapsedMs, stop, call }: AttemptOptions<Result>,
  candidate: Candidate,
): Promise<Outcome<Result>> {
  const { model, route } = candidate;
  const startedMs = elapsedMs();
  const attempt: Attempt = {
    model,
    upstream: route.upstream,
    startedMs,
    endedMs: startedMs,
    status: null,
    error: null,
  };
  attempts.push(attempt);
  try {
    return { result: await call(candidate, attempt) };
  } catch (thrown) {
    attempt.endedMs = Math.max(startedMs, elapsedMs());
    const error = toAppError(stop.aborted ? stop.reason : thrown);
    attempt.error = error.code;
    if (stop.aborted) throw stop.reason;
    return { error };
  }
}

function resting(): AppError {
  return new AppError("unavailable", "The upstream has failed repeatedly and is left alone for a moment.", {
    retryAfterSeconds: Math.ceil(limits.circuitRestMs / 1000),
  });
}
