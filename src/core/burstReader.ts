import { limits } from "../contract/limits.ts";
import type { Channel } from "./relay.ts";

type ReadResult = ReadableStreamReadResult<Uint8Array>;

/** A stream's bytes, one read at a time; they hold until the next one. A cancelled one says that it is done. */
export type ByteReader = { read: () => Promise<ReadResult>; cancel: () => Promise<void> };

/** The stream's reader: one that gathers bursts where the runtime's own streams allow it. Locks the stream. */
export function byteReader(stream: ReadableStream<Uint8Array>): ByteReader {
  return isNative(stream) ? new BurstReader(stream) : stream.getReader();
}

/** Only a stream of bytes can be asked for so many of them at least. */
function isNative(stream: ReadableStream<Uint8Array>): boolean {
  try {
    stream.getReader({ mode: "byob" }).releaseLock();
    return true;
  } catch {
    return false;
  }
}

/** Reads at least `min` bytes, fewer only at the stream's end; the DOM's types do not know of that. */
type GulpReader = Pick<ReadableStreamBYOBReader, "cancel"> & {
  read: (view: Uint8Array<ArrayBuffer>, options: { min: number }) => Promise<ReadResult>;
};

/** A part of a stream that is read in gulps, and a copy of it that still has what a gulp waits for. */
type Gulps = {
  reader: GulpReader;
  spare: ReadableStream<Uint8Array>;
  /** Bytes read since the two were parted. */
  taken: number;
};

/** The runtime's own pipe, which JavaScript is not asked to work. */
const { IdentityTransformStream } = globalThis as unknown as { IdentityTransformStream: new () => Channel };

/**
 * Reads each chunk as it comes, until `limits.burstReads` of them have come, each within `limits.burstReadMs` on average:
 * every chunk costs an entry into JavaScript, so those of a burst are then gathered by the runtime and read
 * `limits.burstGulpBytes` at a time. A read that asks for so many cannot be taken back when fewer come. So the stream
 * is parted in two: one part is piped to where it is read from, and when nothing has come of a gulp for
 * `limits.burstStallMs`, what it holds is read from the other one; no byte is held back longer. The stream is parted
 * anew every `limits.burstPartBytes`, so that no copy grows.
 */
class BurstReader implements ByteReader {
  #stream: ReadableStream<Uint8Array>;
  #reader: ReadableStreamDefaultReader<Uint8Array> | ReadableStreamBYOBReader;
  #gulps: Gulps | null = null;
  #cancelled = false;
  /** Reads since `#sinceMs`, and how many of them make a burst. */
  #reads = 0;
  #sinceMs = 0;
  #enough: number = limits.burstReads;
  /** Read into over and over: new memory for each gulp would be much until it is collected. */
  #buffer: ArrayBuffer | null = null;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#stream = stream;
    this.#reader = stream.getReader();
  }

  read(): Promise<ReadResult> {
    return this.#gulps ? this.#gulp(this.#gulps) : this.#readChunk();
  }

  async cancel(): Promise<void> {
    this.#cancelled = true;
    const parts = this.#gulps ? [this.#gulps.reader, this.#gulps.spare] : [this.#reader];
    await Promise.all(parts.map((part) => part.cancel()));
  }

  async #readChunk(): Promise<ReadResult> {
    const reader = this.#reader as ReadableStreamDefaultReader<Uint8Array>;
    const got = await reader.read();
    if (!got.done && this.#isBurst()) this.#part();
    return got;
  }

  async #gulp(gulps: Gulps): Promise<ReadResult> {
    if (gulps.taken >= limits.burstPartBytes) return this.#readSpare(gulps);
    const { promise: stall, resolve } = Promise.withResolvers<null>();
    const timer = setTimeout(resolve, limits.burstStallMs, null);
    const asked = gulps.reader.read(this.#room(0), { min: limits.burstGulpBytes });
    const got = await Promise.race([asked.catch(() => null), stall]);
    clearTimeout(timer);
    if (this.#cancelled) return { done: true, value: undefined };
    // Stalled, ended or broken: the other part says which.
    if (!got || got.done) return this.#readSpare(gulps);
    gulps.taken += got.value.length;
    this.#buffer = got.value.buffer as ArrayBuffer;
    return got;
  }

  /** What the last gulp waited for, or what comes next. */
  async #readSpare({ reader, spare, taken }: Gulps): Promise<ReadResult> {
    reader.cancel().catch(() => {});
    const rest = spare.getReader({ mode: "byob" });
    this.#gulps = null;
    this.#reader = rest;
    for (let seen = taken; ; ) {
      const got = await rest.read(this.#room(seen));
      if (got.done || this.#cancelled) return { done: true, value: undefined };
      this.#buffer = got.value.buffer as ArrayBuffer;
      if (got.value.length <= seen) {
        seen -= got.value.length;
        continue;
      }
      const value = got.value.subarray(seen);
      rest.releaseLock();
      this.#stream = spare;
      this.#goOn(value.length);
      return { done: false, value };
    }
  }

  /** For a gulp, after what has been seen. */
  #room(seen: number): Uint8Array<ArrayBuffer> {
    const buffer = this.#buffer ?? new ArrayBuffer(limits.burstPartBytes + 4 * limits.burstGulpBytes);
    // Until the read has ended it is the runtime's.
    this.#buffer = null;
    return new Uint8Array(buffer, 0, seen + 2 * limits.burstGulpBytes);
  }

  /** A stall in which much has come is a pause of the burst; one that held little was none, and it takes more then. */
  #goOn(length: number): void {
    this.#reads = 0;
    if (length >= limits.burstGulpBytes / 4) this.#part();
    else {
      this.#enough = Math.min(limits.maxBurstReads, this.#enough * 2);
      this.#reader = this.#stream.getReader();
    }
  }

  #isBurst(): boolean {
    const now = Date.now();
    if (this.#reads === 0 || now - this.#sinceMs > limits.burstReadMs * this.#enough) {
      this.#reads = 0;
      this.#sinceMs = now;
    }
    this.#reads += 1;
    return this.#reads > this.#enough;
  }

  #part(): void {
    this.#reads = 0;
    this.#reader.releaseLock();
    const [piped, spare] = this.#stream.tee();
    const { readable, writable } = new IdentityTransformStream();
    // However it ends, the reader is told, and looks at the spare part.
    piped.pipeTo(writable).catch(() => {});
    this.#gulps = { spare, reader: readable.getReader({ mode: "byob" }) as GulpReader, taken: 0 };
  }
}
