import type { WebhookEvent } from "../contract/endpoints.ts";
import type { SettledStatus } from "../contract/runs.ts";
import type { BatchMessageData, RunMessageData, WebhookMessage } from "../contract/webhookMessages.ts";
import { newId } from "./ids.ts";
import type { Notice } from "./webhookMessages.ts";

/** A message as a real one would be, of things that never were; its `data.test` is true. */
export function sampleNotice(event: WebhookEvent, nowMs: number): Notice {
  const runId = newId("run", nowMs);
  const batchId = newId("bat", nowMs);
  const timestamp = new Date(nowMs).toISOString();
  const message: WebhookMessage =
    event === "batch.completed"
      ? { type: event, timestamp, data: sampleBatch(batchId, timestamp) }
      : { type: event, timestamp, data: sampleRun(runId, statusOf(event), timestamp) };
  const about = event === "batch.completed" ? { runId: null, batchId } : { runId, batchId: null };
  return { id: newId("dlv", nowMs), event, ...about, body: JSON.stringify(message) };
}

function statusOf(event: Exclude<WebhookEvent, "batch.completed">): SettledStatus {
  return event.slice("run.".length) as SettledStatus;
}

function sampleRun(runId: string, status: SettledStatus, createdAt: string): RunMessageData {
  const error = { code: "upstream_error", message: "A sample of an error." } as const;
  return {
    runId,
    batchId: null,
    retryOf: null,
    status,
    createdAt,
    totalMs: 1_234,
    template: null,
    model: { asked: "sim/echo", answered: "sim/echo" },
    simulated: true,
    finishReason: status === "succeeded" ? "stop" : null,
    usage: { promptTokens: 3, completionTokens: 5, reasoningTokens: null },
    cost: null,
    error: status === "failed" || status === "interrupted" ? error : null,
    metadata: {},
    text: "A sample of an answer.",
    toolCalls: [],
    truncated: false,
    resultPath: `/v1/runs/${runId}`,
    test: true,
  };
}

function sampleBatch(batchId: string, createdAt: string): BatchMessageData {
  return { batchId, createdAt, total: 2, succeeded: 1, failed: 1, cancelled: 0, interrupted: 0, test: true };
}
