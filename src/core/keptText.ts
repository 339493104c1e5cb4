/// <reference path="./nodeZlib.d.ts" />
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { limits } from "../contract/limits.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
const leastBlockBytes = 4 * 1024;
const mostBlockBytes = 64 * 1024;

type Block = { bytes: Uint8Array; packed: boolean };

/**
 * A text that comes in pieces, kept as UTF-8 outside the JavaScript heap: as strings, the answers of many long streams
 * would take several times their size until the collector gets to them. Once `maxBytes` are kept, further pieces are
 * dropped; a text that comes in one piece is kept whole, as it is.
 */
export class KeptText {
  readonly #maxBytes: number;
  /** The only piece so far. */
  #single = "";
  /** What is before the last block, each of whole characters; the large ones are packed. */
  #full: Block[] = [];
  #last: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  /** Bytes of the last block that hold text. */
  #used = 0;
  #bytes = 0;
  /** The first half of a surrogate pair, whose second one is in the next piece. */
  #half = "";

  constructor(maxBytes: number = limits.maxStoredAnswerBytes) {
    this.#maxBytes = maxBytes;
  }

  append(piece: string): void {
    if (this.isEmpty) this.#single = piece;
    else {
      if (this.#single) this.#keep(this.#single);
      this.#single = "";
      this.#keep(piece);
    }
  }

  /** The same for UTF-8 of whole characters, which is kept as it is. */
  appendUtf8(piece: Uint8Array): void {
    if (this.isEmpty || this.#single || this.#half || piece.length > leastBlockBytes) {
      this.append(decoder.decode(piece));
      return;
    }
    if (this.isFull) return;
    if (piece.length > this.#last.length - this.#used) this.#nextBlock();
    this.#last.set(piece, this.#used);
    this.#used += piece.length;
    this.#bytes += piece.length;
  }

  /** UTF-8 bytes that are kept; of a text that came in one piece its length. */
  get size(): number {
    return this.#single.length + this.#bytes;
  }

  /** Whether what comes next would be dropped. */
  get isFull(): boolean {
    return this.#bytes >= this.#maxBytes;
  }

  get isEmpty(): boolean {
    return this.#single === "" && this.#bytes === 0 && this.#half === "";
  }

  toString(): string {
    const texts = this.#full.map(({ bytes, packed }) => decoder.decode(packed ? zstdDecompressSync(bytes) : bytes));
    return this.#single + texts.join("") + decoder.decode(this.#last.subarray(0, this.#used)) + this.#half;
  }

  /** The text so far, which is not kept from then on. */
  take(): string {
    const text = this.toString();
    this.#single = "";
    this.#half = "";
    this.#full = [];
    this.#used = 0;
    this.#bytes = 0;
    return text;
  }

  #keep(piece: string): void {
    if (this.isFull) return;
    let text = this.#half + piece;
    this.#half = /[\ud800-\udbff]$/.test(text) ? text.slice(-1) : "";
    if (this.#half) text = text.slice(0, -1);
    while (text !== "") {
      const { read, written } = encoder.encodeInto(text, this.#last.subarray(this.#used));
      this.#used += written;
      this.#bytes += written;
      text = text.slice(read);
      if (text !== "") this.#nextBlock();
    }
  }

  /** Larger ones as the text grows, so that short answers take little and long ones few. */
  #nextBlock(): void {
    const bytes = this.#last.subarray(0, this.#used);
    // Text takes a third of itself or less; where thousands of long answers are on their way that is what counts.
    if (this.#last.length === mostBlockBytes) this.#full.push({ bytes: zstdCompressSync(bytes), packed: true });
    else if (bytes.length > 0) this.#full.push({ bytes, packed: false });
    this.#last = new Uint8Array(Math.min(mostBlockBytes, Math.max(leastBlockBytes, this.#bytes)));
    this.#used = 0;
  }
}
