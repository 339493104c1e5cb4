import { limits } from "../contract/limits.ts";

/**
 * Pauses between the failures in a row of something an object does: they double, with jitter, from
 * `limits.recordPauseMs` to `limits.maxRecordPauseMs`. The count is stored, as an object that waits is evicted meanwhile;
 * without a failure nothing is.
 */
export class Backoff {
  readonly #kv: DurableObjectStorage["kv"];
  readonly #name: string;
  #failures: number | null = null;

  /** `name` tells what is counted apart in one object. */
  constructor(storage: Pick<DurableObjectStorage, "kv">, name: string) {
    this.#kv = storage.kv;
    this.#name = `failures of ${name}`;
  }

  /** It has failed again: milliseconds to wait before the next try. */
  failed(): number {
    const failures = this.#count();
    this.#set(failures + 1);
    const pauseMs = Math.min(limits.maxRecordPauseMs, limits.recordPauseMs * 2 ** failures);
    return pauseMs * (0.5 + Math.random() / 2);
  }

  succeeded(): void {
    if (this.#count() > 0) this.#set(0);
  }

  #count(): number {
    this.#failures ??= this.#kv.get<number>(this.#name) ?? 0;
    return this.#failures;
  }

  #set(failures: number): void {
    this.#failures = failures;
    if (failures > 0) this.#kv.put(this.#name, failures);
    else this.#kv.delete(this.#name);
  }
}
