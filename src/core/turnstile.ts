/**
 * Lets callers of one isolate through one after the other. One that has waited for `patienceMs` goes through all the
 * same: whoever is before it may have died with its invocation. A caller is woken by a promise of its own, so that it
 * goes on in its own invocation.
 */
export class Turnstile {
  readonly #patienceMs: number;
  readonly #waiting: (() => void)[] = [];
  readonly #within = new Set<object>();

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  async pass<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#within.size > 0) await this.#turn();
    const caller = {};
    this.#within.add(caller);
    try {
      return await work();
    } finally {
      this.#within.delete(caller);
      if (this.#within.size === 0) this.#waiting.shift()?.();
    }
  }

  #turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#waiting.splice(this.#waiting.indexOf(go), 1);
      this.#within.clear();
      resolve();
    }, this.#patienceMs);
    const go = () => {
      clearTimeout(timer);
      resolve();
    };
    this.#waiting.push(go);
    return promise;
  }
}
