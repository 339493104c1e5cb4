import { limits } from "../contract/limits.ts";
import { AppError, errorEnvelope } from "./errors.ts";
import type { StreamGate } from "./gate.ts";

/** Upstream timers, ms: response headers, first token, silence between events, the whole call. */
export type Timeouts = {
  headersMs: number;
  firstTokenMs: number;
  idleMs: number;
  totalMs: number;
  /** How long the response status waits for the first event. */
  firstEventHoldMs: number;
};

/** A pipe whose writes wait for the reader. */
export type Channel = { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> };

export type RelayOptions = {
  channel: Channel;
  upstream: ReadableStream<Uint8Array>;
  gate: StreamGate;
  timeouts: Timeouts;
  /** Aborts the upstream call. */
  abort: AbortController;
  /** Fires when the client's connection is known to be gone. */
  clientGone: AbortSignal;
  /** Milliseconds since the call began, for the timers. */
  elapsedMs: () => number;
};

/** How a relay ended. `cancelled`: the client left. */
export type RelayEnd = { status: "succeeded" } | { status: "cancelled" } | { status: "failed"; error: AppError };

export type Relay = {
  /** Resolves when the response may be sent; rejects with an AppError when a status code can still tell it. */
  committed: Promise<void>;
  /** The client's bytes: the upstream's own, cut between events. */
  body: ReadableStream<Uint8Array>;
  /** Resolves once, when both sides are through; never rejects. Keep the invocation alive for it. */
  ended: Promise<RelayEnd>;
};

const comment = new TextEncoder().encode(":\n\n");

/**
 * Passes an upstream's stream to a client. Each write is awaited, so a slow reader slows the upstream and no buffer
 * grows. Owns the upstream body: whatever happens, it is read to its end or cancelled. A stream that fails after it
 * was committed ends with an error event and without `[DONE]`, so that it looks as broken as it is.
 */
export function relay(options: RelayOptions): Relay {
  const { readable, writable } = options.channel;
  const { promise: committed, resolve, reject } = Promise.withResolvers<void>();
  const ended = new Pump(options, writable.getWriter(), { resolve, reject }).run();
  return { committed, body: readable, ended };
}

type Commitment = { resolve: () => void; reject: (error: AppError) => void };

class Pump {
  readonly #options: RelayOptions;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #commitment: Commitment;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #committed = false;
  #clientLeft = false;
  #timedOut: AppError | null = null;
  #firstToken = false;
  #writing = false;
  /** Passed bytes not yet written: comments that came before the first event. */
  readonly #held: Uint8Array[] = [];
  #lastReadMs: number;
  #lastWriteMs: number;

  constructor(options: RelayOptions, writer: WritableStreamDefaultWriter<Uint8Array>, commitment: Commitment) {
    this.#options = options;
    this.#writer = writer;
    this.#commitment = commitment;
    this.#reader = options.upstream.getReader();
    this.#lastReadMs = this.#lastWriteMs = options.elapsedMs();
  }

  async run(): Promise<RelayEnd> {
    const ticker = setInterval(() => this.#tick(), limits.relayTickMs);
    const leave = () => this.#leave();
    this.#options.clientGone.addEventListener("abort", leave);
    // A client that leaves makes a write reject, or this promise when none is under way.
    this.#writer.closed.catch(leave);
    try {
      return await this.#finish(await this.#pump());
    } finally {
      clearInterval(ticker);
      this.#options.clientGone.removeEventListener("abort", leave);
    }
  }

  /** Reads until the stream is over; resolves with what ended it, or null for a whole answer. */
  async #pump(): Promise<AppError | null> {
    const { gate } = this.#options;
    try {
      for (;;) {
        const { done, value } = await this.#reader.read();
        this.#lastReadMs = this.#options.elapsedMs();
        const { bytes, end } = done ? gate.end() : gate.pass(value);
        if (bytes.length > 0) this.#held.push(bytes);
        if (end instanceof AppError && !this.#committed && !gate.sawEvent) return end;
        if (gate.sawEvent) this.#commit();
        if (this.#committed) for (const part of this.#held.splice(0)) await this.#write(part);
        if (end) return end instanceof AppError ? end : null;
      }
    } catch (thrown) {
      if (thrown instanceof AppError) return thrown;
      return new AppError("upstream_error", "The upstream's stream broke.", { cause: thrown });
    }
  }

  async #finish(failure: AppError | null): Promise<RelayEnd> {
    if (this.#clientLeft) return { status: this.#options.gate.settle().complete ? "succeeded" : "cancelled" };
    if (!failure) {
      await this.#writer.close().catch(() => {});
      await this.#drain();
      return { status: "succeeded" };
    }
    const error = this.#timedOut ?? failure;
    this.#stopUpstream();
    if (!this.#committed) {
      this.#commitment.reject(error);
      return { status: "failed", error };
    }
    await this.#write(new TextEncoder().encode(`data: ${JSON.stringify(errorEnvelope(error))}\n\n`)).catch(() => {});
    await this.#writer.close().catch(() => {});
    return { status: "failed", error };
  }

  /** Reads what follows `[DONE]` and drops it, so that the connection can be used again; only for so long. */
  async #drain(): Promise<void> {
    const giveUp = setTimeout(() => this.#stopUpstream(), limits.drainMs);
    try {
      while (!(await this.#reader.read()).done);
    } catch {
      // It broke after the answer was whole: nobody misses it.
    } finally {
      clearTimeout(giveUp);
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#writing = true;
    try {
      await this.#writer.write(bytes);
    } catch (thrown) {
      this.#leave();
      throw thrown;
    } finally {
      this.#writing = false;
      // A reader that was slow to take this must not make the upstream look silent.
      this.#lastReadMs = this.#lastWriteMs = this.#options.elapsedMs();
    }
  }

  #commit(): void {
    if (this.#committed) return;
    this.#committed = true;
    this.#commitment.resolve();
  }

  #tick(): void {
    const { timeouts, elapsedMs, gate } = this.#options;
    const now = elapsedMs();
    if (!this.#committed && now >= timeouts.firstEventHoldMs) this.#commit();
    if (!this.#firstToken) this.#firstToken = gate.answer.begun;
    if (now >= timeouts.totalMs) this.#timeOut("The completion took longer than its total time.");
    else if (!this.#firstToken && now >= timeouts.firstTokenMs) this.#timeOut("The upstream sent no token in time.");
    else if (!this.#writing && this.#firstToken && now - this.#lastReadMs >= timeouts.idleMs)
      this.#timeOut("The upstream's stream fell silent.");
    // Nothing tells of a client that left a silent stream until something is written to it.
    else if (this.#committed && !this.#writing && now - this.#lastWriteMs >= limits.silenceCommentMs)
      this.#write(comment).catch(() => {});
  }

  #timeOut(message: string): void {
    if (this.#timedOut || this.#clientLeft) return;
    this.#timedOut = new AppError("upstream_timeout", message);
    this.#stopUpstream();
  }

  #leave(): void {
    if (this.#clientLeft) return;
    this.#clientLeft = true;
    this.#stopUpstream();
  }

  #stopUpstream(): void {
    this.#options.abort.abort();
    this.#reader.cancel().catch(() => {});
  }
}
