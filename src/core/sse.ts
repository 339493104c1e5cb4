import { createParser } from "eventsource-parser";
import { limits } from "../contract/limits.ts";
import { AppError } from "./errors.ts";

const LF = 10;
const CR = 13;

/**
 * Cuts a byte stream of server-sent events at event boundaries, so that whatever is passed on ends between two events.
 * Bytes are never changed: the slices it hands out, then `rest()`, are the input. Any split of the input is legal:
 * inside a UTF-8 sequence, between CR and LF, byte by byte. An event longer than `maxEventBytes` is an `upstream_error`.
 */
export class EventSplitter {
  #pending = new Uint8Array(0);
  #length = 0;

  /** The bytes up to the last boundary seen so far, or null when there is none yet. */
  push(chunk: Uint8Array): Uint8Array | null {
    if (this.#length === 0) {
      const end = lastBoundary(chunk, 1, chunk.length);
      if (end < chunk.length) this.#append(chunk.subarray(end));
      if (end === 0) return null;
      return end === chunk.length ? chunk : chunk.subarray(0, end);
    }
    const before = this.#length;
    this.#append(chunk);
    const end = lastBoundary(this.#pending, Math.max(1, before), this.#length);
    if (end === 0) return null;
    const slice = this.#pending.slice(0, end);
    this.#pending.copyWithin(0, end, this.#length);
    this.#length -= end;
    return slice;
  }

  /** What stands after the last boundary. */
  rest(): Uint8Array {
    return this.#pending.slice(0, this.#length);
  }

  #append(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > limits.maxEventBytes + chunk.length)
      throw new AppError("upstream_error", `The upstream sent an event of more than ${limits.maxEventBytes} bytes.`);
    if (length > this.#pending.length) {
      const grown = new Uint8Array(Math.max(length, this.#pending.length * 2));
      grown.set(this.#pending.subarray(0, this.#length));
      this.#pending = grown;
    }
    this.#pending.set(chunk, this.#length);
    this.#length = length;
  }
}

/** Index after the last blank line that ends in [from, to), or 0. Lines end with LF, CR or CR LF. */
function lastBoundary(bytes: Uint8Array, from: number, to: number): number {
  for (let i = to - 1; i >= from; i--) if (endsBlankLine(bytes, i)) return i + 1;
  return 0;
}

function endsBlankLine(bytes: Uint8Array, i: number): boolean {
  if (!isEol(bytes[i]) || !isEol(bytes[i - 1])) return false;
  // After LF a CR is the first half of CR LF, so that the LF is not torn from its event.
  if (bytes[i] === CR) return bytes[i - 1] === CR;
  return bytes[i - 1] === LF || (i >= 2 && isEol(bytes[i - 2]));
}

function isEol(byte: number | undefined): boolean {
  return byte === LF || byte === CR;
}

/** The single events of a slice that ends at a boundary. */
export function splitEvents(slice: Uint8Array): Uint8Array[] {
  const events: Uint8Array[] = [];
  let start = 0;
  for (let i = 1; i < slice.length; i++) {
    if (!endsBlankLine(slice, i)) continue;
    events.push(slice.subarray(start, i + 1));
    start = i + 1;
  }
  if (start < slice.length) events.push(slice.subarray(start));
  return events;
}

let found: string[] = [];
/** One for all: making a parser costs more than most texts take to be parsed. */
const parser = createParser({ onEvent: (event) => found.push(event.data) });

/** The `data` of each event of a text that ends at a boundary; comments and empty events are none. */
export function eventData(text: string): string[] {
  parser.feed(text);
  parser.reset();
  const data = found;
  found = [];
  return data;
}
