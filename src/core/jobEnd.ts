import type { JobEvent } from "../contract/jobs.ts";
import { limits } from "../contract/limits.ts";
import type { Attempt } from "../contract/runs.ts";
import type { ToldAnswer } from "./answerDelta.ts";
import type { AppError } from "./errors.ts";
import type { RoundFacts } from "./jobRun.ts";
import type { JobSpec } from "./jobSpec.ts";
import type { Output } from "./output.ts";
import { verdictOn } from "./retry.ts";
import type { RunFacts } from "./runEnd.ts";

type DoneEvent = Extract<JobEvent, { type: "done" }>;

export type EndedApart = {
  spec: JobSpec;
  status: RunFacts["status"];
  error: AppError | null;
  answer: ToldAnswer;
  attempts: readonly Attempt[];
  nowMs: number;
};

/** What happened to a job that ends while no call of an upstream is under way: what it has told is its answer. */
export function factsApart({ spec, status, error, answer, attempts, nowMs }: EndedApart): RunFacts {
  const { content, reasoning, toolCalls } = answer;
  const totalMs = Math.max(0, nowMs - spec.start.createdAtMs);
  const last = attempts.at(-1);
  return {
    status,
    error,
    answer: { model: null, malformed: false, usage: null, finishReason: null, content, reasoning, toolCalls },
    attempts: [...attempts],
    candidate: { model: last?.model ?? spec.start.modelAsked, upstream: last?.upstream ?? null },
    queueMs: attempts[0]?.startedMs ?? totalMs,
    headersMs: null,
    firstTokenMs: null,
    totalMs,
  };
}

/** What happened to a job that ends with a round: what the round has told is its answer. */
export function factsOf(round: RoundFacts, { content, reasoning, toolCalls }: ToldAnswer): RunFacts {
  const { model, malformed, usage, finishReason } = round.answer;
  return { ...round, answer: { model, malformed, usage, finishReason, content, reasoning, toolCalls } };
}

/** What a job's last event tells of its output; the value is left out where it is too long for one. */
export function toldOutput(output: Output | null): Pick<DoneEvent, "output" | "outputInvalid"> {
  if (!output) return {};
  if (!output.valid) {
    // Both may quote a name in the answer, which is of any length.
    const told = (text: string) => text.slice(0, limits.maxUpstreamMessageChars);
    return { outputInvalid: { message: told(output.message), path: told(output.path) } };
  }
  const { length } = new TextEncoder().encode(JSON.stringify(output.value));
  return length <= limits.maxDoneOutputBytes ? { output: output.value } : {};
}

/** The attempts of a job whose last one was lost with the object that made it: what came of it nobody knows. */
export function withLostAttempt(attempts: readonly Attempt[], elapsedMs: number): Attempt[] {
  const last = attempts.at(-1);
  if (!last) return [];
  return [...attempts.slice(0, -1), { ...last, endedMs: Math.max(last.startedMs, elapsedMs), error: "unavailable" }];
}

/**
 * Milliseconds that a job whose round has failed waits before the next one, or null when it has failed for good. It waits
 * where a relay could not: out an upstream's limit, its rest, or whatever time it asked for. Nothing is tried again once
 * tokens have arrived.
 */
export function waitAfter({ status, error, answer, attempts }: RoundFacts, leftMs: number): number | null {
  if (status !== "failed" || !error || attempts.length >= limits.maxJobAttempts) return null;
  if (answer.begun) return null;
  const { code, retryAfterSeconds: asked } = error;
  if (asked === undefined && code !== "rate_limited") return null;
  if (code !== "unavailable" && verdictOn(error) !== "again") return null;
  const backoffMs = Math.min(limits.maxRetryWaitMs, 1000 * 2 ** Math.min(attempts.length, 10));
  const waitMs = asked === undefined ? backoffMs : asked * 1000;
  return waitMs < leftMs ? waitMs : null;
}
