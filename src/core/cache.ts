import { limits } from "../contract/limits.ts";

type Entry<Value> = { value: Value; bytes: number; expiresAt: number };

/**
 * What an isolate remembers of D1, bounded in age, number and, where it is told how to measure values, in size.
 * `Date.now()` stands still between I/O on deployed Workers, which only ever makes an entry look younger within one
 * burst of computation.
 */
export class TimedCache<Value> {
  /** Every entry lives equally long, so the order of insertion is the order of expiry: the oldest come first. */
  readonly #entries = new Map<string, Entry<Value>>();
  readonly #sizeOf: (value: Value) => number;
  #bytes = 0;

  /** `sizeOf` estimates the bytes of a value; without it values count nothing, which suits small ones of one size. */
  constructor(sizeOf: (value: Value) => number = () => 0) {
    this.#sizeOf = sizeOf;
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

  /** Remembers a value in place of the oldest, if need be; one larger than `limits.maxCacheBytes` is not kept. */
  set(key: string, value: Value): void {
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
    this.#entries.set(key, { value, bytes, expiresAt: now + limits.maxCacheAgeMs });
    this.#bytes += bytes;
  }

  /** Forgets every entry whose key begins with `prefix`. */
  forget(prefix: string): void {
    for (const [key, entry] of this.#entries) if (key.startsWith(prefix)) this.#drop(key, entry);
  }

  #drop(key: string, entry: Entry<Value>): void {
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}
