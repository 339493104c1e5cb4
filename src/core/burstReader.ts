import { limits } from "../contract/limits.ts";
import type { Channel } from "./channel.ts";

type ReadResult = ReadableStreamReadResult<Uint8Array>;

/** A stream's bytes, one read at a time; they hold until the next one. A cancelled one says that it is done. */
export type ByteReader = { read: () => Promise<ReadResult>; cancel: () => Promise<void> };

/** The stream's reader: one that gathers bursts where the runtime's own streams allow it. Locks the stream. */
export function byteReader(stream: ReadableStream<Uint8Array>): ByteReader {
  const reader = byobReader(stream);
  return reader ? new BurstReader(stream, reader) : stream.getReader();
}

/** Only a stream of bytes can be asked for so many of them at least. */
function byobReader(stream: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | null {
  try {
    return stream.getReader({ mode: "byob" });
  } catch {
    return null;
  }
}

/** Reads at least `min` bytes, fewer only at the stream's end; the DOM's types do not know of that. */
type GulpReader = Pick<ReadableStreamBYOBReader, "cancel"> & {
  read: (view: Uint8Array<ArrayBuffer>, options: { min: number }) => Promise<ReadResult>;
};

/** A stream that is read in gulps from one part of it, and the other part, which has what a gulp waits for. */
type Gulps = {
  piped: GulpReader;
  spare: ReadableStream<Uint8Array>;
  spareReader: ReadableStreamBYOBReader;
  /** The gulp under way; null when it ended or broke. */
  asked: Promise<ReadResult | null> | null;
  /** Bytes read from either part, and those that have been told. */
  pipedBytes: number;
  spareBytes: number;
  toldBytes: number;
};

/** The runtime's own pipe, which JavaScript is not asked to work. */
const { IdentityTransformStream } = globalThis as unknown as { IdentityTransformStream: new () => Channel };

/**
 * Reads each chunk as it comes, until `limits.burstReads` of them have come, each within `limits.burstReadMs` on average:
 * every chunk costs an entry into JavaScript, so those of a burst are then gathered by the runtime and read
 * `limits.burstGulpBytes` at a time. A read that asks for so many cannot be taken back when fewer come. So the stream
 * is parted in two: one part is piped to where it is read from, and when nothing has come of a gulp for
 * `limits.burstStallMs`, what it holds is read from the other one; no byte is held back longer. The other part is emptied
 * every `limits.burstPartBytes`, so that it does not grow.
 */
class BurstReader implements ByteReader {
  /** What is read, or parted. */
  #current: ReadableStream<Uint8Array>;
  #reader: ReadableStreamBYOBReader;
  #gulps: Gulps | null = null;
  #cancelled = false;
  /** Reads since `#sinceMs`, and how many of them make a burst; the clock is looked at for no fewer. */
  #reads = 0;
  #sinceMs = 0;
  #enough: number = limits.burstReads;
  /** Read into over and over: new memory for each read would be much until it is collected. */
  #room: ArrayBuffer | null = null;
  #spareRoom: ArrayBuffer | null = null;

  constructor(stream: ReadableStream<Uint8Array>, reader: ReadableStreamBYOBReader) {
    this.#current = stream;
    this.#reader = reader;
  }

  read(): Promise<ReadResult> {
    return this.#gulps ? this.#gulp(this.#gulps) : this.#readChunk();
  }

  async cancel(): Promise<void> {
    this.#cancelled = true;
    const parts = this.#gulps ? [this.#gulps.piped, this.#gulps.spareReader] : [this.#reader];
    await Promise.all(parts.map((part) => part.cancel()));
  }

  /** No function of its own to resume for each chunk: that costs a fifth of what the chunk costs in JavaScript. */
  #readChunk(): Promise<ReadResult> {
    return this.#reader.read(this.#takeRoom()).then(this.#tookChunk);
  }

  readonly #tookChunk = (got: ReadResult): ReadResult => {
    if (got.done) return { done: true, value: undefined };
    this.#room = got.value.buffer as ArrayBuffer;
    if (this.#isBurst()) this.#part();
    return got;
  };

  #isBurst(): boolean {
    if (this.#reads > 0 && this.#reads++ < this.#enough) return false;
    const now = Date.now();
    const isBurst = this.#reads > this.#enough && now - this.#sinceMs <= limits.burstReadMs * this.#enough;
    this.#reads = 1;
    this.#sinceMs = now;
    return isBurst;
  }

  #part(): void {
    this.#reader.releaseLock();
    const [whole, spare] = this.#current.tee();
    const { readable, writable } = new IdentityTransformStream();
    // However it ends, the reader is told, and looks at the other part.
    whole.pipeTo(writable).catch(() => {});
    const piped = readable.getReader({ mode: "byob" }) as GulpReader;
    const spareReader = spare.getReader({ mode: "byob" });
    this.#gulps = { piped, spare, spareReader, asked: null, pipedBytes: 0, spareBytes: 0, toldBytes: 0 };
  }

  async #gulp(gulps: Gulps): Promise<ReadResult> {
    if (gulps.pipedBytes - gulps.spareBytes >= limits.burstPartBytes) await this.#emptySpare(gulps);
    for (;;) {
      gulps.asked ??= this.#ask(gulps);
      const got = await within(gulps.asked, limits.burstStallMs);
      if (this.#cancelled) return { done: true, value: undefined };
      // Stalled, ended or broken: the other part has what there is, and says which.
      if (!got || got.done) return this.#readSpare(gulps, got !== undefined);
      gulps.asked = null;
      this.#room = got.value.buffer as ArrayBuffer;
      gulps.pipedBytes += got.value.length;
      const untold = untoldOf(got.value, gulps.pipedBytes - gulps.toldBytes);
      gulps.toldBytes = Math.max(gulps.toldBytes, gulps.pipedBytes);
      if (untold) return { done: false, value: untold };
    }
  }

  #ask({ piped }: Gulps): Promise<ReadResult | null> {
    return piped.read(this.#takeRoom(), { min: limits.burstGulpBytes }).catch(() => null);
  }

  #takeRoom(): Uint8Array<ArrayBuffer> {
    const room = new Uint8Array(this.#room ?? new ArrayBuffer(2 * limits.burstGulpBytes));
    this.#room = null;
    return room;
  }

  /** What a gulp waits for, or what comes next; after the end, or where that was little, the stream goes on by chunks. */
  async #readSpare(gulps: Gulps, ended: boolean): Promise<ReadResult> {
    for (;;) {
      const value = await this.#takeSpare(gulps);
      if (!value) return { done: true, value: undefined };
      const untold = untoldOf(value, gulps.spareBytes - gulps.toldBytes);
      if (!untold) continue;
      gulps.toldBytes = gulps.spareBytes;
      if (ended || untold.length < limits.burstGulpBytes / 4) this.#leave(gulps);
      return { done: false, value: untold };
    }
  }

  /** Drops what the gulps have told, and no more: it may hold what the next one waits for already. */
  async #emptySpare(gulps: Gulps): Promise<void> {
    while (gulps.spareBytes < gulps.pipedBytes && (await this.#takeSpare(gulps, gulps.pipedBytes - gulps.spareBytes)));
  }

  /** Null: it has ended, or was cancelled. */
  async #takeSpare(gulps: Gulps, maxBytes = Number.POSITIVE_INFINITY): Promise<Uint8Array | null> {
    const room = this.#spareRoom ?? new ArrayBuffer(4 * limits.burstGulpBytes);
    this.#spareRoom = null;
    const { done, value } = await gulps.spareReader.read(new Uint8Array(room, 0, Math.min(room.byteLength, maxBytes)));
    if (done || this.#cancelled) return null;
    this.#spareRoom = value.buffer as ArrayBuffer;
    gulps.spareBytes += value.length;
    return value;
  }

  /** It takes more to make a burst from now on. */
  #leave({ piped, spare, spareReader }: Gulps): void {
    piped.cancel().catch(() => {});
    this.#gulps = null;
    this.#spareRoom = null;
    this.#room = null;
    this.#current = spare;
    this.#reader = spareReader;
    this.#reads = 0;
    this.#enough = Math.min(limits.maxBurstReads, this.#enough * 2);
  }
}

/** The last so many bytes; null where there are none. */
function untoldOf(value: Uint8Array, count: number): Uint8Array | null {
  return count > 0 ? value.subarray(Math.max(0, value.length - count)) : null;
}

/** What a promise resolves with, or undefined when that takes longer. */
async function within<Result>(promise: Promise<Result>, ms: number): Promise<Result | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(late.resolve, ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
