import type { JsonObject } from "../contract/chat.ts";
import { type ErrorEnvelope, errorTable } from "../contract/errors.ts";
import type { JobResult } from "../contract/jobs.ts";
import type { RunObject } from "../contract/openaiRuns.ts";
import { type Run, settledStatuses } from "../contract/runs.ts";
import type { AcceptedJob } from "./jobs.ts";

/** What has been told of a run's answer, in the shape of `jobs.result`. */
export type RunAnswer = Pick<JobResult, "content" | "reasoning" | "toolCalls" | "answerKept" | "answerCut">;

export function isSettled({ status }: Pick<Run, "status">): boolean {
  return settledStatuses.some((settled) => settled === status);
}

/** A job as it was accepted; the same for all who submit it under one key. */
export function acceptedRun({ ticket, model, metadata }: Omit<AcceptedJob, "headers">) {
  return {
    id: ticket.runId,
    object: "chat.completion.run",
    created_at: seconds(ticket.createdAt),
    completed_at: null,
    status: "queued",
    model,
    answer: null,
    error: null,
    usage: null,
    attempts: [],
    retry_of: null,
    metadata,
  } satisfies RunObject;
}

export function runObject(run: Run, answer: RunAnswer): RunObject {
  const { totalMs } = run.timings;
  return {
    id: run.id,
    object: "chat.completion.run",
    created_at: seconds(run.createdAt),
    completed_at: isSettled(run) && totalMs !== null ? Math.floor((Date.parse(run.createdAt) + totalMs) / 1000) : null,
    status: run.status,
    model: run.modelAsked,
    answer: completionOf(run, answer),
    ...(answer.answerCut && { answer_cut: true as const }),
    error: runError(run),
    usage: openaiUsage(run),
    attempts: run.attempts.map(({ startedMs: started_ms, endedMs: ended_ms, ...attempt }) => ({
      ...attempt,
      started_ms,
      ended_ms,
    })),
    retry_of: run.retryOf,
    metadata: run.metadata,
  };
}

/** A run's answer as a `chat.completion`, with `finish_reason` null where it is not whole; null where there is none. */
function completionOf(run: Run, answer: RunAnswer): JsonObject | null {
  const { content, reasoning, toolCalls, answerKept, answerCut } = answer;
  if (answerKept === false) return null;
  const nothing = content === null && reasoning === null && toolCalls.length === 0;
  if (nothing && run.status !== "succeeded") return null;
  const calls = toolCalls.map(({ id, ...called }) => ({ id, type: "function", function: called }));
  const message = {
    role: "assistant",
    content,
    refusal: null,
    ...(reasoning !== null && { reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
  return {
    id: run.id,
    object: "chat.completion",
    created: seconds(run.createdAt),
    model: run.modelAnswered ?? run.modelAsked,
    choices: [{ index: 0, message, finish_reason: answerCut ? null : run.finishReason, logprobs: null }],
    usage: openaiUsage(run),
  };
}

/** Why a run has not succeeded, in OpenAI's shape; null while it has not ended, and where it has succeeded. */
export function runError({ status, errorCode, errorMessage }: Run): ErrorEnvelope["error"] | null {
  const told = (code: keyof typeof errorTable, message: string) => ({
    message: errorMessage ?? message,
    type: errorTable[code].openai,
    param: null,
    code,
  });
  switch (status) {
    case "queued":
    case "running":
    case "succeeded":
      return null;
    case "cancelled":
      return told("cancelled", "The run was cancelled.");
    case "interrupted":
      return told(errorCode ?? "unavailable", "The run was interrupted.");
    case "failed":
      return told(errorCode ?? "internal", "The run failed.");
  }
}

/** Null where it is not known. */
export function openaiUsage({ usage, cost }: Pick<Run, "usage" | "cost">): JsonObject | null {
  if (!usage) return null;
  const { promptTokens: prompt_tokens, completionTokens: completion_tokens, reasoningTokens } = usage;
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    ...(reasoningTokens !== null && { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
    ...(cost && { cost: cost.micros / 1_000_000, cost_currency: cost.currency }),
  };
}

function seconds(iso: string): number {
  return Math.floor(Date.parse(iso) / 1000);
}
