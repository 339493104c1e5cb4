import { limits } from "../contract/limits.ts";

type State = { failures: number; openUntilMs: number; probing: boolean };

/**
 * One circuit per upstream, in the isolate's memory: after so many completions failed in a row (retries included in
 * each) the upstream is left alone for `circuitRestMs`, then one call probes it; its success closes the circuit, its
 * failure opens it again.
 */
export class Circuits {
  readonly #states = new Map<string, State>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Whether a call may be made now; an admitted call must be followed by `succeeded`, `failed` or `abandoned`. */
  admits(upstream: string, maxFailures: number): boolean {
    const state = this.#states.get(upstream);
    if (!state || state.failures < maxFailures) return true;
    if (this.#now() < state.openUntilMs) return false;
    state.probing = true;
    // Should the probe's invocation end without a word, another one follows.
    state.openUntilMs = this.#now() + limits.circuitRestMs;
    return true;
  }

  succeeded(upstream: string): void {
    this.#states.delete(upstream);
  }

  failed(upstream: string): void {
    const state = this.#states.get(upstream) ?? { failures: 0, openUntilMs: 0, probing: false };
    state.failures++;
    state.probing = false;
    state.openUntilMs = this.#now() + limits.circuitRestMs;
    this.#states.delete(upstream);
    this.#states.set(upstream, state);
    const oldest = this.#states.keys().next().value;
    if (this.#states.size > limits.maxCacheEntries && oldest !== undefined) this.#states.delete(oldest);
  }

  /** A call that ended without telling anything of the upstream's health. */
  abandoned(upstream: string): void {
    const state = this.#states.get(upstream);
    if (!state?.probing) return;
    state.probing = false;
    state.openUntilMs = this.#now();
  }
}
