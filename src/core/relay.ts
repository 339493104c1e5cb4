import { limits } from "../contract/limits.ts";
import type { Channel } from "./channel.ts";
import { AppError, errorEnvelope } from "./errors.ts";
import type { OpenedStream } from "./openStream.ts";

/** Upstream timers, ms: response headers, first token, silence between events, the whole call. */
export type Timeouts = {
  headersMs: number;
  firstTokenMs: number;
  idleMs: number;
  totalMs: number;
  /** How long the response status waits for the first event. */
  firstEventHoldMs: number;
};

export type RelayOptions = {
  channel: Channel;
  /** Calls upstreams until one answers with an event; rejects with an AppError. */
  open: () => Promise<OpenedStream>;
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
  /** Resolves when the response may be sent; rejects with an AppError while a status code can still tell it. */
  committed: Promise<void>;
  /** The client's bytes: the upstream's own, cut between events. */
  body: ReadableStream<Uint8Array>;
  /** Resolves once, when the answer's end is known; never rejects. */
  ended: Promise<RelayEnd>;
  /** Resolves when the client has what it is to get and the upstream's connection is free; never rejects. */
  closed: Promise<void>;
};

const comment = new TextEncoder().encode(":\n\n");

/**
 * Passes an upstream's stream to a client. Each write is awaited, so a slow reader slows the upstream and no buffer
 * grows. Owns the upstream's body: whatever happens, it is read to its end or cancelled. A stream that fails after it
 * was committed ends with an error event and without `[DONE]`, so that it looks as broken as it is. The invocation
 * must be kept alive for `ended` and `closed`.
 */
export function relay(options: RelayOptions): Relay {
  const committed = Promise.withResolvers<void>();
  const pump = new Pump(options, committed);
  const ended = pump.run();
  return {
    committed: committed.promise,
    body: options.channel.readable,
    ended,
    closed: ended.then((end) => pump.close(end)),
  };
}

class Pump {
  readonly #options: RelayOptions;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #commitment: PromiseWithResolvers<void>;
  #stream: OpenedStream | null = null;
  #committed = false;
  #clientLeft = false;
  #timedOut: AppError | null = null;
  #writing = false;
  #timer: ReturnType<typeof setTimeout>;
  #openedMs = 0;
  #readMs: number;
  #wroteMs: number;

  constructor(options: RelayOptions, commitment: PromiseWithResolvers<void>) {
    this.#options = options;
    this.#commitment = commitment;
    this.#writer = options.channel.writable.getWriter();
    this.#readMs = this.#wroteMs = options.elapsedMs();
    this.#timer = this.#nextLook();
  }

  async run(): Promise<RelayEnd> {
    const leave = () => this.#leave();
    this.#options.clientGone.addEventListener("abort", leave);
    // A client that leaves makes a write reject, or this promise when none is under way.
    this.#writer.closed.catch(leave);
    try {
      return this.#endOf(await this.#pump());
    } finally {
      clearTimeout(this.#timer);
      this.#options.clientGone.removeEventListener("abort", leave);
    }
  }

  /** Sends the client its last bytes, if any, and lets go of both sides. */
  async close(end: RelayEnd): Promise<void> {
    if (end.status !== "succeeded") this.#stopUpstream();
    if (end.status === "failed" && this.#committed && !this.#clientLeft)
      await this.#write(new TextEncoder().encode(`data: ${JSON.stringify(errorEnvelope(end.error))}\n\n`));
    await Promise.all([this.#writer.close().catch(() => {}), end.status === "succeeded" && this.#drain()]);
  }

  /** Opens the stream and passes it on to its end; resolves with what ended it, or null for a whole answer. */
  async #pump(): Promise<AppError | null> {
    const writer = this.#writer;
    const { elapsedMs } = this.#options;
    try {
      const { reader, gate, passed } = await this.#open();
      // One loop and one await per side: every further asynchronous call would cost as much as the write itself.
      for (let next = passed.shift(); ; next = passed.shift()) {
        if (!next) {
          const { done, value } = await reader.read();
          next = done ? gate.end() : gate.pass(value);
        }
        if (next.bytes.length > 0) {
          this.#writing = true;
          await writer.write(next.bytes);
          this.#writing = false;
        }
        this.#readMs = elapsedMs();
        if (next.bytes.length > 0) this.#wroteMs = this.#readMs;
        if (next.end) return next.end === "done" ? null : next.end;
      }
    } catch (thrown) {
      if (this.#writing) this.#leave();
      if (thrown instanceof AppError) return thrown;
      if (!this.#clientLeft && !this.#timedOut && (await this.#endWhole())) return null;
      return new AppError("upstream_error", "The upstream's stream broke.", { cause: thrown });
    }
  }

  /** A connection that broke after the last finish reason took nothing with it: the answer is ended as at its end. */
  async #endWhole(): Promise<boolean> {
    const passage = this.#stream?.gate.end();
    if (passage?.end !== "done") return false;
    await this.#write(passage.bytes);
    return true;
  }

  async #open(): Promise<OpenedStream> {
    this.#stream = await this.#options.open();
    this.#openedMs = this.#readMs = this.#options.elapsedMs();
    this.#commit();
    return this.#stream;
  }

  #endOf(failure: AppError | null): RelayEnd {
    if (!failure) return { status: "succeeded" };
    if (this.#timedOut) return this.#failed(this.#timedOut);
    if (!this.#clientLeft) return this.#failed(failure);
    // Before it was committed nobody waits for the answer any more; the promise must not hang all the same.
    if (!this.#committed) this.#commitment.reject(new AppError("cancelled", "The client left."));
    return { status: this.#stream?.gate.settle().complete ? "succeeded" : "cancelled" };
  }

  #failed(error: AppError): RelayEnd {
    if (!this.#committed) this.#commitment.reject(error);
    return { status: "failed", error };
  }

  /** Reads what follows `[DONE]` and drops it, so that the connection can be used again; only for so long. */
  async #drain(): Promise<void> {
    const giveUp = setTimeout(() => this.#stopUpstream(), limits.drainMs);
    try {
      while (this.#stream && !(await this.#stream.reader.read()).done);
    } catch {
      // It broke after the answer was whole: nobody misses it.
    } finally {
      clearTimeout(giveUp);
    }
  }

  /** A comment, or the event that tells an error; the pump is not writing meanwhile. */
  async #write(bytes: Uint8Array): Promise<void> {
    this.#writing = true;
    try {
      await this.#writer.write(bytes);
    } catch {
      this.#leave();
    } finally {
      this.#writing = false;
      this.#wroteMs = this.#options.elapsedMs();
    }
  }

  #commit(): void {
    if (this.#committed) return;
    this.#committed = true;
    this.#commitment.resolve();
  }

  #tick(): void {
    const { timeouts, elapsedMs } = this.#options;
    const now = elapsedMs();
    if (!this.#committed && now >= timeouts.firstEventHoldMs) this.#commit();
    // Until the stream is open each attempt has timers of its own.
    const begun = this.#stream?.gate.answer.begun;
    if (now >= timeouts.totalMs) this.#timeOut("The completion took longer than its total time.");
    else if (begun === false && now - this.#openedMs >= timeouts.firstTokenMs)
      this.#timeOut("The upstream sent no token in time.");
    else if (begun && !this.#writing && now - this.#readMs >= timeouts.idleMs)
      this.#timeOut("The upstream's stream fell silent.");
    // Nothing tells of a client that left a silent stream until something is written to it.
    else if (this.#committed && !this.#writing && now - this.#wroteMs >= limits.silenceCommentMs)
      void this.#write(comment);
    this.#timer = this.#nextLook();
  }

  /** Looks at the timers when one of them may be due: what passes sets none, as that would cost as much again. */
  #nextLook(): ReturnType<typeof setTimeout> {
    const { timeouts, elapsedMs } = this.#options;
    const now = elapsedMs();
    const [readMs, wroteMs] = this.#writing ? [now, now] : [this.#readMs, this.#wroteMs];
    const due = Math.min(
      timeouts.totalMs,
      this.#committed ? wroteMs + limits.silenceCommentMs : timeouts.firstEventHoldMs,
      this.#stream?.gate.answer.begun ? readMs + timeouts.idleMs : this.#openedMs + timeouts.firstTokenMs,
    );
    // What is overdue waits for something else: a slow reader, the stream's opening.
    const step = due > now ? due - now : limits.relayTickMs;
    return setTimeout(() => this.#tick(), Math.min(step, limits.silenceCommentMs));
  }

  #timeOut(message: string): void {
    if (this.#timedOut || this.#clientLeft) return;
    this.#timedOut = new AppError("upstream_timeout", message);
    // A reader that takes nothing would otherwise keep the run open for as long as it likes.
    if (this.#writing) this.#writer.abort(this.#timedOut).catch(() => {});
    this.#stopUpstream();
  }

  #leave(): void {
    if (this.#clientLeft) return;
    this.#clientLeft = true;
    this.#stopUpstream();
  }

  #stopUpstream(): void {
    this.#options.abort.abort(this.#timedOut ?? undefined);
    this.#stream?.reader.cancel().catch(() => {});
  }
}
