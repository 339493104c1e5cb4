import { limits } from "../contract/limits.ts";
import type { Attempt } from "../contract/runs.ts";
import { Answer } from "./answer.ts";
import { type AttemptPolicy, type Candidate, firstAnswer } from "./attempts.ts";
import type { Channel } from "./channel.ts";
import type { Circuits } from "./circuit.ts";
import { AppError, toAppError } from "./errors.ts";
import type { StreamGate } from "./gate.ts";
import type { OpenedStream } from "./openStream.ts";
import type { Prepared } from "./prepare.ts";
import type { Principal } from "./principal.ts";
import { type RelayEnd, relay } from "./relay.ts";
import { type Ended, endRun, type RunEndPorts, type RunFacts } from "./runEnd.ts";
import type { OpenRun } from "./runRecord.ts";
import { UpstreamAttempt } from "./upstreamAttempt.ts";
import { readCompletion, readText } from "./upstreamBody.ts";
import type { CallUpstream } from "./upstreams.ts";
import { withCost } from "./usageCost.ts";

export type CompletionRunPorts = RunEndPorts & {
  callUpstream: CallUpstream;
  openRun: OpenRun;
  policy: AttemptPolicy;
  /** Lives as long as the isolate. */
  circuits: Circuits;
  /** A pipe to the client whose writes wait for its reader. */
  openChannel: () => Channel;
  /** Keeps the invocation alive for work that outlives the response. */
  keepAlive: (work: Promise<unknown>) => void;
};

export type WholeAnswer = { text: string; answer: Answer; ended: Ended; candidate: Candidate };

/** One run under way: opens its record, calls upstreams until one answers, and sees to its end. */
export class CompletionRun {
  readonly #ports: CompletionRunPorts;
  readonly #principal: Principal;
  readonly #prepared: Prepared;
  /** Ends everything: the client has left, or the total time is over. */
  readonly #abort = new AbortController();
  readonly #opening: ReturnType<typeof setTimeout>;
  #opened: Promise<void> = Promise.resolve();
  readonly #attempts: Attempt[] = [];
  #candidate: Candidate;
  #headersMs: number | null = null;
  #firstTokenMs: number | null = null;

  constructor(ports: CompletionRunPorts, principal: Principal, prepared: Prepared) {
    this.#ports = ports;
    this.#principal = principal;
    this.#prepared = prepared;
    this.#candidate = prepared.candidates[0];
    this.#opening = setTimeout(() => this.#open(), limits.openRunAfterMs);
  }

  /** What ends before it is opened, or cannot be opened, is written whole when it is settled. */
  #open(): void {
    const { openRun, log, keepAlive } = this.#ports;
    const { start } = this.#prepared;
    this.#opened = openRun(start, "running").catch((cause) => log("run_not_opened", { runId: start.id, cause }));
    keepAlive(this.#opened);
  }

  /** Waits for a whole answer. */
  async whole(): Promise<WholeAnswer> {
    const { timeouts } = this.#prepared;
    const late = () => new AppError("upstream_timeout", "The completion took longer than its total time.");
    const timer = setTimeout(() => this.#abort.abort(late()), timeouts.totalMs);
    try {
      const { text, answer } = await this.#firstAnswer((candidate, attempt) => this.#callWhole(candidate, attempt));
      const ended = await this.#end("succeeded", null, answer);
      return { text, answer, ended, candidate: this.#candidate };
    } catch (thrown) {
      const error = withRunId(toAppError(thrown), this.#prepared.start.id);
      this.#ports.keepAlive(this.#end("failed", error, new Answer()));
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Starts a stream; resolves when its response may be sent. */
  async stream(clientGone: AbortSignal): Promise<{ body: ReadableStream<Uint8Array>; candidate: Candidate }> {
    let gate: StreamGate | null = null;
    const open = async () => {
      const opened = await this.#firstAnswer((candidate, attempt) => this.#callStream(candidate, attempt));
      gate = opened.gate;
      return opened;
    };
    const relayed = relay({
      channel: this.#ports.openChannel(),
      open,
      timeouts: this.#prepared.timeouts,
      abort: this.#abort,
      clientGone,
      elapsedMs: () => this.#elapsedMs(),
    });
    this.#ports.keepAlive(relayed.ended.then((how) => this.#endStream(how, gate)));
    this.#ports.keepAlive(relayed.closed);
    try {
      await relayed.committed;
    } catch (thrown) {
      throw withRunId(toAppError(thrown), this.#prepared.start.id);
    }
    return { body: relayed.body, candidate: this.#candidate };
  }

  #firstAnswer<Result>(call: (candidate: Candidate, attempt: Attempt) => Promise<Result>): Promise<Result> {
    return firstAnswer({
      candidates: this.#prepared.candidates,
      projectId: this.#principal.projectId,
      policy: this.#ports.policy,
      circuits: this.#ports.circuits,
      attempts: this.#attempts,
      elapsedMs: () => this.#elapsedMs(),
      stop: this.#abort.signal,
      call: (candidate, attempt) => {
        this.#candidate = candidate;
        return call(candidate, attempt);
      },
    });
  }

  async #callWhole(candidate: Candidate, attempt: Attempt): Promise<{ text: string; answer: Answer }> {
    const answer = new Answer();
    const response = await this.#attempt(candidate, attempt).headers();
    const text = await readText(response, limits.maxUpstreamBytes);
    const body = readCompletion(text, answer, candidate.route.secrets);
    const price = answer.usage && (await this.#price(candidate));
    return { text: withCost(text, body, answer, price), answer };
  }

  async #callStream(candidate: Candidate, attempt: Attempt): Promise<OpenedStream> {
    const { hideUsage } = this.#prepared;
    return this.#attempt(candidate, attempt).stream({
      hideUsage,
      price: () => (hideUsage ? null : this.#price(candidate)),
      onFirstToken: () => {
        this.#firstTokenMs = this.#elapsedMs();
      },
    });
  }

  #attempt(candidate: Candidate, attempt: Attempt): UpstreamAttempt {
    const { start, body, timeouts } = this.#prepared;
    return new UpstreamAttempt(candidate, attempt, {
      callUpstream: this.#ports.callUpstream,
      body,
      stream: start.stream,
      timeouts,
      stop: this.#abort.signal,
      onHeaders: () => {
        this.#headersMs = this.#elapsedMs();
      },
    });
  }

  #price({ model }: Candidate) {
    return this.#ports.priceOf(this.#prepared.start.projectId, model).catch(() => null);
  }

  async #endStream(how: RelayEnd, gate: StreamGate | null): Promise<void> {
    const error = how.status === "failed" ? how.error : null;
    const { written } = await this.#end(how.status, error, gate?.settle() ?? new Answer());
    await written;
  }

  async #end(status: RunFacts["status"], error: AppError | null, answer: Answer): Promise<Ended> {
    clearTimeout(this.#opening);
    const totalMs = this.#elapsedMs();
    const last = this.#attempts.at(-1);
    if (last) {
      last.endedMs = Math.max(last.startedMs, totalMs);
      last.error = error?.code ?? null;
    }
    const facts: RunFacts = {
      status,
      error,
      answer,
      attempts: this.#attempts,
      candidate: { model: this.#candidate.model, upstream: this.#candidate.route.upstream },
      headersMs: this.#headersMs,
      firstTokenMs: this.#firstTokenMs,
      totalMs,
    };
    const { keepContents } = this.#principal;
    const ended = await endRun(this.#ports, this.#prepared, facts, {
      keepContents,
      isLong: answer.size > limits.longAnswerBytes,
      opened: this.#opened,
    });
    this.#ports.keepAlive(ended.written);
    return ended;
  }

  /** Milliseconds since the run was created; clocks may step back. */
  #elapsedMs(): number {
    return Math.max(0, Date.now() - this.#prepared.start.createdAtMs);
  }
}

function withRunId(error: AppError, runId: string): AppError {
  const { retryAfterSeconds } = error;
  return new AppError(error.code, error.message, {
    param: error.param,
    details: { ...error.details, runId },
    cause: error.cause,
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  });
}
