import { limits } from "../contract/limits.ts";
import type { Attempt } from "../contract/runs.ts";
import { Answer } from "./answer.ts";
import { AnswerCursor, type AnswerDelta } from "./answerDelta.ts";
import { type AttemptPolicy, type Candidate, firstAnswer } from "./attempts.ts";
import type { Circuits } from "./circuit.ts";
import { deltaParts } from "./deltaParts.ts";
import { AppError, toAppError } from "./errors.ts";
import type { JobSpec } from "./jobSpec.ts";
import { drain, type OpenedStream } from "./openStream.ts";
import type { RunFacts } from "./runEnd.ts";
import { overrun } from "./timeouts.ts";
import { UpstreamAttempt } from "./upstreamAttempt.ts";
import type { CallUpstream } from "./upstreams.ts";

export type JobRunPorts = {
  callUpstream: CallUpstream;
  policy: AttemptPolicy;
  /** Lives as long as the isolate. */
  circuits: Circuits;
  /** Puts on record the attempts so far; the last one is about to call its upstream. */
  recordAttempt: (attempts: readonly Attempt[]) => void;
  /** Puts a piece of the answer on record and tells it to whoever watches; throws when it is not on record. */
  tell: (delta: AnswerDelta) => void;
  /** Keeps the job's owner alive for work that nobody waits for. */
  background: (work: Promise<unknown>) => void;
  /** Milliseconds since the epoch. */
  now: () => number;
};

export type JobRound = {
  spec: JobSpec;
  /** Where the job's models are served now. */
  candidates: readonly [Candidate, ...Candidate[]];
  /** What earlier rounds have tried. */
  past: readonly Attempt[];
  /** Ends the round from outside: an AppError `cancelled` is a cancel, any other a failure. */
  stop: AbortSignal;
};

/** What happened in a round; the texts of its answer are what has been told. */
export type RoundFacts = Omit<RunFacts, "answer"> & {
  answer: Pick<Answer, "model" | "malformed" | "usage" | "finishReason" | "begun">;
};

/**
 * One round of a job: calls upstreams by the policy of a relay until one answers, and reads its stream to the end. What
 * arrives is told in pieces, `limits.jobDeltaMs` apart or more where the runtime is behind, and is not kept: a round whose
 * answer cannot be told whole has failed. Resolves with how it ended; never rejects.
 */
export function runJob(ports: JobRunPorts, round: JobRound): Promise<RoundFacts> {
  return new RoundUnderWay(ports, round).run();
}

class RoundUnderWay {
  readonly #ports: JobRunPorts;
  readonly #round: JobRound;
  readonly #attempts: Attempt[] = [];
  readonly #abort = new AbortController();
  readonly #stop: AbortSignal;
  readonly #beganMs: number;
  readonly #cursor = new AnswerCursor();
  #candidate: Candidate;
  #headersMs: number | null = null;
  #firstTokenMs: number | null = null;
  #stream: OpenedStream | null = null;
  #openedMs = 0;
  #readMs = 0;
  /** Chunks that have arrived since the last piece was told, and when that was. */
  #untold = 0;
  #toldMs = 0;
  /** Tells what has arrived when it is time, and when that is. */
  #telling: ReturnType<typeof setTimeout> | null = null;
  #dueMs = 0;
  /** Between two pieces: longer where the runtime has more to do than it can, as each piece is more to do. */
  #pauseMs: number = limits.jobDeltaMs;
  /** What the answer has given up and is not on record yet. */
  readonly #untoldParts: AnswerDelta[] = [];
  #moved = false;

  constructor(ports: JobRunPorts, round: JobRound) {
    this.#ports = ports;
    this.#round = round;
    this.#candidate = round.candidates[0];
    this.#stop = AbortSignal.any([round.stop, this.#abort.signal]);
    this.#beganMs = this.#elapsedMs();
  }

  async run(): Promise<RoundFacts> {
    const ticker = setInterval(() => this.#tick(), limits.jobTickMs);
    try {
      const stream = await this.#open();
      const failure = await this.#read(stream);
      if (failure) throw failure;
      this.#tell();
      this.#ports.background(drain(stream.reader, limits.drainMs));
      return this.#facts("succeeded", null);
    } catch (thrown) {
      const error = toAppError(this.#stop.aborted ? this.#stop.reason : thrown);
      this.#stream?.reader.cancel().catch(() => {});
      this.#tryToTell();
      return error.code === "cancelled" ? this.#facts("cancelled", null) : this.#facts("failed", error);
    } finally {
      clearInterval(ticker);
      if (this.#telling !== null) clearTimeout(this.#telling);
    }
  }

  async #open(): Promise<OpenedStream> {
    const { spec, candidates, past } = this.#round;
    const { policy, circuits } = this.#ports;
    const stream = await firstAnswer({
      candidates,
      projectId: spec.start.projectId,
      policy,
      circuits,
      attempts: this.#attempts,
      elapsedMs: () => this.#elapsedMs(),
      stop: this.#stop,
      call: (candidate, attempt) => {
        this.#candidate = candidate;
        this.#ports.recordAttempt([...past, ...this.#attempts]);
        return this.#call(candidate, attempt);
      },
    });
    this.#stream = stream;
    this.#openedMs = this.#readMs = this.#elapsedMs();
    const cancel = () => {
      stream.reader.cancel().catch(() => {});
    };
    this.#stop.addEventListener("abort", cancel, { once: true });
    return stream;
  }

  #call(candidate: Candidate, attempt: Attempt): Promise<OpenedStream> {
    const { body, timeouts } = this.#round.spec;
    const call = new UpstreamAttempt(candidate, attempt, {
      callUpstream: this.#ports.callUpstream,
      body,
      stream: true,
      timeouts,
      stop: this.#stop,
      onHeaders: () => {
        this.#headersMs = this.#elapsedMs();
      },
    });
    return call.stream({
      hideUsage: true,
      price: () => null,
      maxTextBytes: limits.maxUpstreamBytes,
      onFirstToken: () => {
        this.#firstTokenMs = this.#elapsedMs();
      },
    });
  }

  /** Reads the stream to its end; resolves with what cut it short, or null for a whole answer. */
  async #read({ reader, gate, passed }: OpenedStream): Promise<AppError | null> {
    try {
      for (let next = passed.shift(); ; next = passed.shift()) {
        if (!next) {
          const { done, value } = await reader.read();
          // A cancelled reader says that it is done.
          if (this.#stop.aborted) throw this.#stop.reason;
          next = done ? gate.end() : gate.pass(value);
        }
        this.#arrived();
        if (next.end) return next.end === "done" ? null : next.end;
      }
    } catch (thrown) {
      if (thrown instanceof AppError) return thrown;
      // A connection that broke after the last finish reason took nothing with it.
      if (!this.#stop.aborted && gate.end().end === "done") return null;
      return new AppError("upstream_error", "The upstream's stream broke.", { cause: thrown });
    }
  }

  #arrived(): void {
    this.#moved = true;
    this.#untold++;
    // The first token is told at once: somebody waits for it.
    if (this.#toldMs === 0 && this.#firstTokenMs !== null) this.#tryToTell();
    else if (this.#telling === null) {
      const now = this.#elapsedMs();
      const sinceMs = Math.max(0, now - this.#toldMs);
      const waitMs = Math.max(0, this.#pauseMs - sinceMs);
      this.#dueMs = now + waitMs;
      this.#telling = setTimeout(() => this.#tellInTime(), waitMs);
    }
  }

  #tellInTime(): void {
    this.#telling = null;
    // The clock may step back.
    const lateMs = Math.max(0, this.#elapsedMs() - this.#dueMs);
    this.#pauseMs = Math.min(limits.jobDeltaMs + limits.jobLateFactor * lateMs, limits.maxJobDeltaMs);
    if (this.#untold > 0) this.#tryToTell();
  }

  #tick(): void {
    const now = this.#elapsedMs();
    if (this.#moved) this.#readMs = now;
    this.#moved = false;
    if (!this.#abort.signal.aborted) this.#checkTimers(now);
  }

  #checkTimers(now: number): void {
    const { timeouts } = this.#round.spec;
    const runningMs = now - this.#beganMs;
    const late = overrun(timeouts, {
      runningMs,
      // Until the stream is open each attempt has timers of its own.
      openMs: this.#stream ? now - this.#openedMs : 0,
      silentMs: now - this.#readMs,
      begun: this.#stream?.gate.answer.begun ?? false,
    });
    if (late) this.#abort.abort(late);
  }

  /** Throws as the port does; what is not on record then comes first the next time. */
  #tell(): void {
    if (!this.#stream) return;
    if (this.#untold > 0) {
      this.#untold = 0;
      const delta = this.#cursor.advance(this.#stream.gate.settle());
      if (delta) {
        this.#toldMs = Math.max(1, this.#elapsedMs());
        this.#untoldParts.push(...deltaParts(delta));
      }
    }
    for (let part = this.#untoldParts[0]; part; part = this.#untoldParts[0]) {
      this.#ports.tell(part);
      this.#untoldParts.shift();
    }
  }

  #tryToTell(): void {
    try {
      this.#tell();
    } catch {
      // It is told with what comes next; what cannot be told at the end fails the round there.
    }
  }

  #facts(status: "succeeded" | "failed" | "cancelled", error: AppError | null): RoundFacts {
    const totalMs = this.#elapsedMs();
    const last = this.#attempts.at(-1);
    // One that failed before it opened is noted already.
    if (last && last.error === null) {
      last.endedMs = Math.max(last.startedMs, totalMs);
      last.error = error?.code ?? null;
    }
    const { past } = this.#round;
    const attempts = [...past, ...this.#attempts];
    return {
      status,
      error,
      answer: this.#stream?.gate.settle() ?? new Answer(),
      attempts,
      candidate: { model: this.#candidate.model, upstream: this.#candidate.route.upstream },
      queueMs: attempts[0]?.startedMs ?? totalMs,
      headersMs: this.#headersMs,
      firstTokenMs: this.#firstTokenMs,
      totalMs,
    };
  }

  /** Milliseconds since the run was created; clocks may step back. */
  #elapsedMs(): number {
    return Math.max(0, this.#ports.now() - this.#round.spec.start.createdAtMs);
  }
}
