import { limits } from "../contract/limits.ts";
import { LookUp } from "./lookUp.ts";

type Entry<Value> = { value: Value; bytes: number; expiresAt: number };

export type CacheOptions<Value> = {
  /** Estimates the bytes of a value; without it values count nothing, which suits small ones of one size. */
  sizeOf?: (value: Value) => number;
  /** Everyone asks for themselves. Durable Objects must: who waits for another's answer would go on in that one's place. */
  alone?: boolean;
};

/**
 * What an isolate remembers of D1, bounded in age, number and, where it is told how to measure values, in size.
 * `Date.now()` stands still between I/O on deployed Workers, which only ever makes an entry look younger within one
 * burst of computation.
 */
export class TimedCache<Value> {
  /** Every entry lives about equally long, so the order of insertion is that of expiry: the oldest come first. */
  readonly #entries = new Map<string, Entry<Value>>();
  readonly #lookUps = new Map<string, LookUp<Value | null>>();
  readonly #sizeOf: (value: Value) => number;
  readonly #alone: boolean;
  #bytes = 0;
  /** How often something was forgotten: what was asked for before may be what was forgotten. */
  #forgotten = 0;

  constructor({ sizeOf = () => 0, alone = false }: CacheOptions<Value> = {}) {
    this.#sizeOf = sizeOf;
    this.#alone = alone;
  }

  /** How many entries are held, those included that have expired since the last `set`. */
  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    if (entry.expiresAt > Date.now()) return entry.value;
    this.#drop(key, entry);
    return undefined;
  }

  /**
   * What is remembered, else what `find` finds, which is remembered then; null is not: guesses would push the good ones
   * out. Requests that miss the same at the same time ask once, and its failure is theirs.
   */
  async recall<Found extends Value | null>(key: string, find: () => Promise<Found>): Promise<Found | Value> {
    const known = this.get(key);
    if (known !== undefined) return known;
    const underWay = this.#alone ? undefined : this.#lookUps.get(key);
    if (!underWay) return await this.#lookUp(key, find);
    const answer = await underWay.wait();
    // Whoever has lost patience asks for itself: one after the other, they would wait long for a store that is slow.
    if (!answer) return await this.#lookUp(key, find);
    if ("failure" in answer) throw answer.failure;
    // The same key finds the same: null only where this one's `find` could have found it.
    return answer.found as Found;
  }

  /** Remembers a value in place of the oldest, if need be; one larger than `limits.maxCacheBytes` is not kept. */
  set(key: string, value: Value, askedAtMs: number = Date.now()): void {
    const known = this.#entries.get(key);
    if (known) this.#drop(key, known);
    const now = Date.now();
    const bytes = this.#sizeOf(value);
    const tooMany = () => this.#entries.size >= limits.maxCacheEntries || this.#bytes + bytes > limits.maxCacheBytes;
    if (bytes > limits.maxCacheBytes) return;
    for (const [oldest, entry] of this.#entries) {
      if (entry.expiresAt > now && !tooMany()) break;
      this.#drop(oldest, entry);
    }
    this.#entries.set(key, { value, bytes, expiresAt: askedAtMs + limits.maxCacheAgeMs });
    this.#bytes += bytes;
  }

  /** Forgets every entry whose key begins with `prefix`, and what is being asked about them: it may have changed since. */
  forget(prefix: string): void {
    for (const [key, entry] of this.#entries) if (key.startsWith(prefix)) this.#drop(key, entry);
    for (const key of this.#lookUps.keys()) if (key.startsWith(prefix)) this.#lookUps.delete(key);
    this.#forgotten += 1;
  }

  async #lookUp<Found extends Value | null>(key: string, find: () => Promise<Found>): Promise<Found> {
    const own = new LookUp<Value | null>();
    this.#lookUps.set(key, own);
    const forgotten = this.#forgotten;
    try {
      const found = (await own.ask(find)) as Found;
      if (found !== null && this.#forgotten === forgotten) this.set(key, found, own.askedAtMs);
      return found;
    } finally {
      if (this.#lookUps.get(key) === own) this.#lookUps.delete(key);
    }
  }

  #drop(key: string, entry: Entry<Value>): void {
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}
