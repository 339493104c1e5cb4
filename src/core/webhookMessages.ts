import type { Callback, WebhookEvent } from "../contract/endpoints.ts";
import type { BatchStatus } from "../contract/jobBatches.ts";
import { limits } from "../contract/limits.ts";
import type { SettledStatus } from "../contract/runs.ts";
import type { RunMessageData, WebhookMessage } from "../contract/webhookMessages.ts";
import type { AnswerText } from "./answerDelta.ts";
import { derivedId } from "./ids.ts";
import type { JobSpec } from "./jobSpec.ts";
import type { Output } from "./output.ts";
import type { RunOutcome } from "./runRecord.ts";

/** A message as an endpoint's object takes it: under its id it is taken once. */
export type Notice = {
  id: string;
  event: WebhookEvent;
  runId: string | null;
  batchId: string | null;
  body: string;
};

/** What there is to tell, before it is addressed to an endpoint. */
export type News = Omit<Notice, "id"> & { atMs: number };

/** An endpoint of a project, and what it is told of without being named. */
export type Listener = { endpointId: string; events: readonly WebhookEvent[] };

/**
 * Which of a project's endpoints are told of something: those that listen for it, and the one that the job or batch names
 * itself. One that was archived since is not among them.
 */
export function toldOf(event: WebhookEvent, listeners: readonly Listener[], callback: Callback | undefined): string[] {
  const named = callback && (callback.events?.includes(event) ?? true) ? callback.endpointId : null;
  return listeners
    .filter(({ endpointId, events }) => endpointId === named || events.includes(event))
    .map(({ endpointId }) => endpointId);
}

/** The same id for the same news to the same endpoint, however often it is made: what is told again is known. */
export async function noticeTo(endpointId: string, { atMs, ...news }: News): Promise<Notice> {
  const subject = news.runId ?? news.batchId ?? "";
  return { id: await derivedId("dlv", atMs, `${subject} ${endpointId} ${news.event}`), ...news };
}

export function runEvent(status: SettledStatus): WebhookEvent {
  return `run.${status}`;
}

export type RunEnded = { outcome: RunOutcome; output: Output | null; endedAtMs: number; answer: AnswerText };

/** That a job's run has ended. What makes it too long is left out: the answer first, then the metadata. */
export function runNews(spec: JobSpec, ended: RunEnded): News {
  const { start, keepContents } = spec;
  const event = runEvent(ended.outcome.status) as Exclude<WebhookEvent, "batch.completed">;
  const bare = bareRunData(spec, ended.outcome);
  const forms: RunMessageData[] = [
    ...(keepContents ? [{ ...bare, ...answerOf(ended), truncated: false }] : []),
    bare,
    { ...bare, metadata: {} },
  ];
  const timestamp = new Date(ended.endedAtMs).toISOString();
  const bodies = forms.map((data) => JSON.stringify({ type: event, timestamp, data } satisfies WebhookMessage));
  const body = bodies.find(isShort) ?? bodies.at(-1) ?? "";
  return { event, runId: start.id, batchId: start.batchId ?? null, body, atMs: ended.endedAtMs };
}

/** That all jobs of a batch have ended. */
export function batchNews(status: BatchStatus, atMs: number): News {
  const { queued: _, running: __, ...data } = status;
  const message: WebhookMessage = { type: "batch.completed", timestamp: new Date(atMs).toISOString(), data };
  const { batchId } = status;
  return { event: message.type, runId: null, batchId, body: JSON.stringify(message), atMs };
}

/** Without what was answered. */
function bareRunData({ start }: JobSpec, outcome: RunOutcome): RunMessageData {
  const { template } = start;
  return {
    runId: start.id,
    batchId: start.batchId ?? null,
    retryOf: start.retryOf ?? null,
    status: outcome.status,
    createdAt: new Date(start.createdAtMs).toISOString(),
    totalMs: outcome.totalMs,
    template: template && {
      id: template.id,
      name: template.name,
      version: template.version,
      label: template.label,
    },
    model: { asked: start.modelAsked, answered: outcome.modelAnswered },
    simulated: start.simulated,
    finishReason: outcome.finishReason,
    usage: outcome.usage,
    cost: outcome.cost,
    error: outcome.errorCode === null ? null : { code: outcome.errorCode, message: outcome.errorMessage ?? "" },
    metadata: start.metadata,
    text: null,
    toolCalls: [],
    truncated: true,
    resultPath: `/v1/runs/${start.id}`,
  };
}

function answerOf({ output, answer }: RunEnded): Pick<RunMessageData, "text" | "output" | "toolCalls"> {
  const toolCalls = answer.toolCalls.map(({ id, function: called }) => ({ id, ...called }));
  if (output?.valid) return { text: null, output: output.value, toolCalls };
  return { text: answer.content, toolCalls };
}

const encoder = new TextEncoder();

function isShort(body: string): boolean {
  // A UTF-16 unit is one byte at least: most long ones need no closer look.
  return body.length <= limits.maxWebhookBytes && encoder.encode(body).length <= limits.maxWebhookBytes;
}
