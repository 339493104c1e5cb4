import { limits } from "../contract/limits.ts";

type Answer<Found> = { found: Found } | { failure: unknown };

/** A question to the store that is under way, for all who would ask the same meanwhile. */
export class LookUp<Found> {
  readonly askedAtMs = Date.now();
  readonly #waiting = new Set<(answer: Answer<Found>) => void>();

  /**
   * Resolves with the answer, or with null once the store has been asked `limits.lookUpPatienceMs` ago: the request
   * that asks may have died. The promise is the waiting request's own: the runtime resumes it as itself.
   */
  async wait(): Promise<Answer<Found> | null> {
    const { promise, resolve } = Promise.withResolvers<Answer<Found> | null>();
    this.#waiting.add(resolve);
    const timer = setTimeout(() => resolve(null), this.askedAtMs + limits.lookUpPatienceMs - Date.now());
    const answer = await promise;
    clearTimeout(timer);
    this.#waiting.delete(resolve);
    return answer;
  }

  /** Asks, and tells the others what came of it. */
  async ask(find: () => Promise<Found>): Promise<Found> {
    try {
      const found = await find();
      this.#tell({ found });
      return found;
    } catch (failure) {
      this.#tell({ failure });
      throw failure;
    }
  }

  #tell(answer: Answer<Found>): void {
    for (const resolve of this.#waiting) resolve(answer);
  }
}
