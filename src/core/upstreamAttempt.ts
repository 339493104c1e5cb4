import type { JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import type { Price } from "../contract/models.ts";
import type { Attempt } from "../contract/runs.ts";
import type { Candidate } from "./attempts.ts";
import { AppError } from "./errors.ts";
import { type OpenedStream, openStream } from "./openStream.ts";
import type { Timeouts } from "./relay.ts";
import { readText, streamOf } from "./upstreamBody.ts";
import { statusError } from "./upstreamErrors.ts";
import type { CallUpstream } from "./upstreams.ts";

export type AttemptCall = {
  callUpstream: CallUpstream;
  /** Whole but for the model. */
  body: JsonObject;
  stream: boolean;
  timeouts: Timeouts;
  /** Ends the call from outside. */
  stop: AbortSignal;
  onHeaders: () => void;
};

export type StreamAttemptOptions = {
  hideUsage: boolean;
  /** Of the model, for the cost in a usage chunk. */
  price: () => Price | null | Promise<Price | null>;
  onFirstToken: () => void;
  /** See `GateOptions`. */
  maxTextBytes?: number;
};

/** One call of one upstream: its own end, by a timer of its own, or with the run it belongs to. */
export class UpstreamAttempt {
  readonly #candidate: Candidate;
  readonly #attempt: Attempt;
  readonly #call: AttemptCall;
  readonly #own = new AbortController();
  readonly #signal: AbortSignal;

  constructor(candidate: Candidate, attempt: Attempt, call: AttemptCall) {
    this.#candidate = candidate;
    this.#attempt = attempt;
    this.#call = call;
    this.#signal = AbortSignal.any([call.stop, this.#own.signal]);
  }

  /** The upstream's answer once its headers are in; a refusal becomes the error its status stands for. */
  headers(): Promise<Response> {
    const { route } = this.#candidate;
    const { callUpstream, body, stream, timeouts, onHeaders } = this.#call;
    return this.#within(timeouts.headersMs, "The upstream sent no headers in time.", async () => {
      const call = { route, body: { ...body, model: route.model }, stream, signal: this.#signal };
      const response = await callUpstream(call);
      onHeaders();
      this.#attempt.status = response.status;
      if (response.ok) return response;
      throw statusError(response, await readText(response, limits.maxEventBytes), route.secrets);
    });
  }

  /** The answer's stream, opened: its first event has been seen. The price is asked for once headers are in. */
  async stream({ price, ...asked }: StreamAttemptOptions): Promise<OpenedStream> {
    const body = await streamOf(await this.headers());
    const { secrets } = this.#candidate.route;
    const options = { ...asked, price: await price(), secrets, signal: this.#signal };
    return this.#within(this.#call.timeouts.firstTokenMs, "The upstream sent no token in time.", () =>
      openStream(body, options),
    );
  }

  /** Aborts the call with a timeout after `ms`, and makes the reason of an aborted call its error. */
  async #within<Result>(ms: number, message: string, work: () => Promise<Result>): Promise<Result> {
    const own = this.#own;
    const timer = setTimeout(() => own.abort(new AppError("upstream_timeout", message)), ms);
    try {
      return await work();
    } catch (thrown) {
      throw own.signal.aborted ? own.signal.reason : thrown;
    } finally {
      clearTimeout(timer);
    }
  }
}
