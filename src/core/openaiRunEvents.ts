import type { JsonObject } from "../contract/chat.ts";
import type { JobEvent, ToolCallDelta } from "../contract/jobs.ts";
import type { Run } from "../contract/runs.ts";
import { AppError, errorEnvelope } from "./errors.ts";
import { idTimeMs } from "./ids.ts";
import { openaiUsage, runError } from "./openaiRunObject.ts";

export type ToldRun = {
  runId: string;
  /** As asked for. */
  model: string;
  /** Number of the last event that the client has seen. */
  afterSeq: number;
};

/**
 * Tells a job's events as server-sent events of `chat.completion.chunk`, one connection's worth. An SSE event's id is
 * the number of the last job event that the client has got whole by then: sent back as `Last-Event-ID` it loses nothing
 * and doubles no text. The event `restart` says that the text begins anew: what came before it is to be dropped.
 */
export class OpenaiRunEvents {
  readonly #head: JsonObject;
  readonly #runId: string;
  readonly #model: string;
  #seq: number;
  /** Whether the client may have text of an earlier attempt; number 1 is always the queue's. */
  #hasText: boolean;
  #roleTold = false;

  constructor({ runId, model, afterSeq }: ToldRun) {
    const created = Math.floor((idTimeMs(runId) ?? 0) / 1000);
    this.#head = { id: runId, object: "chat.completion.chunk", created };
    this.#runId = runId;
    this.#model = model;
    this.#seq = afterSeq;
    this.#hasText = afterSeq > 1;
  }

  /** What a client is told of a job event; some are only a comment to it. */
  tell(event: JobEvent): string {
    switch (event.type) {
      case "status":
        return this.#status(event);
      case "delta":
        return this.#delta(event);
      case "done": {
        const whole = event.answerKept !== false && !event.answerCut;
        const end = whole ? this.end(event.run, event.seq) : this.#gone(event);
        this.#seq = event.seq;
        return end;
      }
    }
  }

  /**
   * The end of the run: finish reason, usage and `[DONE]`; or an error event alone. Only the last of them bears the
   * number `seq`: a client that is cut off before it gets them all again.
   */
  end(run: Run, seq: number): string {
    const error = runError(run);
    if (error) return sse({ id: this.#runId, status: run.status, error }, seq);
    const usage = openaiUsage(run);
    const finish = this.#chunk(this.#role(), run.finishReason ?? "stop");
    const usageChunk = usage ? sse({ ...this.#head, model: this.#model, choices: [], usage }, this.#seq) : "";
    return `${sse(finish, this.#seq)}${usageChunk}id: ${seq}\ndata: [DONE]\n\n`;
  }

  /** An end that looks whole would tell of an empty answer, or of one that is cut as if it were not. */
  #gone({ run, seq, answerCut }: Extract<JobEvent, { type: "done" }>): string {
    const error = runError(run) ?? errorEnvelope(notKept(answerCut)).error;
    return sse({ id: this.#runId, status: run.status, error }, seq);
  }

  /** The stream cannot go on; the run may. */
  broken(error: AppError): string {
    return sse(errorEnvelope(error), this.#seq);
  }

  #status({ seq, status, attempt }: Extract<JobEvent, { type: "status" }>): string {
    this.#seq = seq;
    if (status !== "running") return `: ${status}\n\n`;
    if (!this.#hasText) return ": running\n\n";
    this.#hasText = false;
    this.#roleTold = false;
    // Without choices, so that a client that reads no names of events passes over it.
    return `event: restart\n${sse({ ...this.#head, model: this.#model, choices: [], restart: { attempt } }, seq)}`;
  }

  #delta({ seq, content, reasoning, toolCalls }: Extract<JobEvent, { type: "delta" }>): string {
    this.#seq = seq;
    this.#hasText = true;
    const delta = {
      ...this.#role(),
      ...(content !== undefined && { content }),
      ...(reasoning !== undefined && { reasoning }),
      ...(toolCalls && { tool_calls: toolCalls.map(openaiToolCall) }),
    };
    return sse(this.#chunk(delta, null), seq);
  }

  /** In the first chunk of each connection and of each beginning. */
  #role(): JsonObject {
    if (this.#roleTold) return {};
    this.#roleTold = true;
    return { role: "assistant" };
  }

  #chunk(delta: JsonObject, finish: string | null): JsonObject {
    const choice = { index: 0, delta, logprobs: null, finish_reason: finish };
    return { ...this.#head, model: this.#model, choices: [choice] };
  }
}

function notKept(cut: true | undefined): AppError {
  const what = cut ? "The rest of the answer of this run" : "The answer of this run";
  return new AppError("not_found", `${what} is not kept any more.`);
}

function openaiToolCall({ index, id, name, arguments: piece = "" }: ToolCallDelta): JsonObject {
  const called = { ...(name !== undefined && { name }), arguments: piece };
  return { index, ...(id !== undefined && { id, type: "function" }), function: called };
}

function sse(data: JsonObject, seq: number): string {
  return `id: ${seq}\ndata: ${JSON.stringify(data)}\n\n`;
}
