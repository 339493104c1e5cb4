import { limits } from "../contract/limits.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
const leastBlockBytes = 4 * 1024;
const mostBlockBytes = 64 * 1024;

/**
 * A text that comes in pieces, kept as UTF-8 outside the JavaScript heap: as strings, the answers of many long streams
 * would take several times their size until the collector gets to them. Once `limits.maxStoredAnswerBytes` are kept,
 * further pieces are dropped; a text that comes in one piece is kept whole, as it is.
 */
export class KeptText {
  /** The only piece so far. */
  #single = "";
  /** Each holds whole characters; of the last one `#used` bytes. */
  readonly #blocks: Uint8Array[] = [];
  #used = 0;
  #bytes = 0;
  /** The first half of a surrogate pair, whose second one is in the next piece. */
  #half = "";

  append(piece: string): void {
    if (this.isEmpty) this.#single = piece;
    else {
      if (this.#single) this.#keep(this.#single);
      this.#single = "";
      this.#keep(piece);
    }
  }

  get isEmpty(): boolean {
    return this.#single === "" && this.#bytes === 0 && this.#half === "";
  }

  toString(): string {
    const last = this.#blocks.length - 1;
    const texts = this.#blocks.map((block, at) => decoder.decode(at === last ? block.subarray(0, this.#used) : block));
    return this.#single + texts.join("") + this.#half;
  }

  #keep(piece: string): void {
    if (this.#bytes >= limits.maxStoredAnswerBytes) return;
    let text = this.#half + piece;
    this.#half = /[\ud800-\udbff]$/.test(text) ? text.slice(-1) : "";
    if (this.#half) text = text.slice(0, -1);
    while (text !== "") {
      const block = this.#blocks.at(-1)?.subarray(this.#used) ?? new Uint8Array(0);
      const { read, written } = encoder.encodeInto(text, block);
      this.#used += written;
      this.#bytes += written;
      text = text.slice(read);
      if (text !== "") this.#addBlock();
    }
  }

  /** Larger ones as the text grows, so that short answers take little and long ones few. */
  #addBlock(): void {
    const last = this.#blocks.pop();
    if (last) this.#blocks.push(last.subarray(0, this.#used));
    this.#blocks.push(new Uint8Array(Math.min(mostBlockBytes, Math.max(leastBlockBytes, this.#bytes))));
    this.#used = 0;
  }
}
