import { limits } from "../contract/limits.ts";

/**
 * What an isolate remembers of D1, bounded in age and number. `Date.now()` stands still between I/O on
 * deployed Workers, which only ever makes an entry look younger within one burst of computation.
 */
export class TimedCache<Value> {
  readonly #entries = new Map<string, { value: Value; expiresAt: number }>();

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    if (entry.expiresAt > Date.now()) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: string, value: Value): void {
    if (this.#entries.size >= limits.maxCacheEntries) {
      const oldest = this.#entries.keys().next().value;
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(key, { value, expiresAt: Date.now() + limits.maxCacheAgeMs });
  }

  /** Forgets every entry whose key begins with `prefix`. */
  forget(prefix: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key);
  }
}
