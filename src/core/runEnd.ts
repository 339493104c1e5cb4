import type { JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import type { Price } from "../contract/models.ts";
import type { Attempt, Cost, SettledStatus } from "../contract/runs.ts";
import type { AnswerRead } from "./answer.ts";
import type { AnswerText } from "./answerDelta.ts";
import type { AppError } from "./errors.ts";
import { type Output, readOutput } from "./output.ts";
import type { Prepared } from "./prepare.ts";
import { costOf } from "./pricing.ts";
import type { RecordedContents, RunOutcome, RunStart, SettleRun } from "./runRecord.ts";
import { Turnstile } from "./turnstile.ts";

export type RunEndPorts = {
  settleRun: SettleRun;
  /** The project's price of a model, or the catalogue's; null when unknown. */
  priceOf: (projectId: string, model: string) => Promise<Price | null>;
  log: (event: string, fields: Record<string, unknown>) => void;
};

/** What happened to a run, as its driver saw it. */
export type RunFacts = {
  status: SettledStatus;
  error: AppError | null;
  answer: AnswerRead;
  attempts: Attempt[];
  /** The model that answered, or was tried last, as it was asked for, and the name of its upstream. */
  candidate: { model: string; upstream: string | null };
  /** How long it waited before the first call; absent where it did not wait. */
  queueMs?: number | null;
  headersMs: number | null;
  firstTokenMs: number | null;
  totalMs: number;
};

export type Ended = { cost: Cost | null; output: Output | null; written: Promise<void> };

/** A run's end as it is to be recorded; whoever settles a run takes it from here. */
export type RunEnd = { outcome: RunOutcome; cost: Cost | null; output: Output | null };

/** Prices what happened and checks its output. Never rejects: a price that cannot be asked for is unknown. */
export async function runEnd(
  ports: Pick<RunEndPorts, "priceOf" | "log">,
  prepared: Pick<Prepared, "start" | "outputSchema">,
  facts: RunFacts,
): Promise<RunEnd> {
  const { outputSchema } = prepared;
  const { answer } = facts;
  const price = answer.usage ? await priceOf(ports, prepared.start, facts.candidate.model) : null;
  const cost = costOf(answer.usage, price);
  // An answer that calls tools is not the output yet.
  const hasOutput = facts.status === "succeeded" && answer.toolCalls.length === 0;
  const output = outputSchema && hasOutput ? readOutput(outputSchema, answer.content) : null;
  const outcome: RunOutcome = {
    status: facts.status,
    errorCode: facts.error?.code ?? null,
    errorMessage: facts.error?.message ?? null,
    finishReason: answer.finishReason,
    malformed: answer.malformed,
    attempts: facts.attempts,
    modelAnswered: answer.model,
    upstream: facts.candidate.upstream,
    usage: answer.usage,
    usageSource: answer.usage ? "upstream" : "unknown",
    cost,
    queueMs: facts.queueMs ?? null,
    headersMs: facts.headersMs,
    firstTokenMs: facts.firstTokenMs,
    totalMs: facts.totalMs,
    outputValid: output?.valid ?? null,
  };
  return { outcome, cost, output };
}

/**
 * The one owner of a relayed run's end: prices it, checks its output and writes it down, once. `written` resolves when
 * the record holds or, after `limits.finaliseAttempts`, is given up to the log; it never rejects.
 */
export async function endRun(
  ports: RunEndPorts,
  prepared: Prepared,
  facts: RunFacts,
  { keepContents, isLong, opened }: { keepContents: boolean; isLong: boolean; opened: Promise<void> },
): Promise<Ended> {
  const { outcome, cost, output } = await runEnd(ports, prepared, facts);
  const record = () => {
    const contents = keepContents ? recordedContents(prepared, facts.answer, output) : null;
    return write(ports, prepared, outcome, contents);
  };
  return { cost, output, written: opened.then(() => (isLong ? longAnswers.pass(record) : record())) };
}

/** A long answer takes several times its size while it is written: all that end at once would be too much for an isolate. */
const longAnswers = new Turnstile(limits.longAnswerPatienceMs);

/** A cost that is lost is lost for good, so the price is asked for again before it counts as unknown. */
async function priceOf(
  ports: Pick<RunEndPorts, "priceOf" | "log">,
  start: RunStart,
  model: string,
): Promise<Price | null> {
  for (let attempt = 1; attempt < limits.finaliseAttempts; attempt++) {
    try {
      return await ports.priceOf(start.projectId, model);
    } catch {
      await pause(attempt);
    }
  }
  ports.log("price_unknown", { runId: start.id });
  return null;
}

/** Full jitter over a doubling pause: 200, 400, 800 ms at most. */
function pause(attempt: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.random() * 100 * 2 ** attempt));
}

/** Request and answer as they are kept. */
export function recordedContents(
  prepared: Pick<Prepared, "body" | "variables">,
  answer: AnswerText,
  output: Output | null,
): RecordedContents {
  const { messages, ...request } = prepared.body;
  return {
    messages: messages as RecordedContents["messages"],
    request: request as JsonObject,
    variables: prepared.variables,
    content: answer.content,
    reasoning: answer.reasoning,
    toolCalls: answer.toolCalls,
    ...(output?.valid && { output: output.value }),
  };
}

/** Settling is idempotent, so a write whose reply was lost may be repeated. */
async function write(
  ports: RunEndPorts,
  { start }: Prepared,
  outcome: RunOutcome,
  contents: RecordedContents | null,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await ports.settleRun(start, outcome, contents);
      return;
    } catch (cause) {
      if (attempt >= limits.finaliseAttempts) {
        ports.log("run_not_recorded", { runId: start.id, status: outcome.status, cause });
        return;
      }
      await pause(attempt);
    }
  }
}
