import { isObject, parsedJson } from "./json.ts";
import { eventData } from "./sse.ts";
import { errorIn } from "./upstreamErrors.ts";

/** Takes a piece of a choice's content, as UTF-8 of whole characters; it holds until the call returns. */
export type TakeContent = (choice: number, content: Uint8Array) => void;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

/** Where the content of an event begins; what holds several of these is no shape. */
const contentMember = /"content"\s*:\s*"/g;
/** A line's end, but for those of the blank line that ends an event. */
const lineEndWithin = /[\r\n](?!(?:\r\n|\r|\n)*$)/;
const marker = "·";

const quote = 0x22;
const backslash = 0x5c;
const firstPrintable = 0x20;

/**
 * What the events of one stream have in common: a server puts each piece of the content into the same envelope. Of an
 * event that differs from one that was read in its content alone nothing else is to be learned, so that no more than
 * these bytes need be looked at: to parse it would cost several times as much as all else that is done with it.
 */
export class EventShape {
  readonly #choice: number;
  /** From the event's first byte to the content's, and from the content's closing quote to the event's end. */
  readonly #before: Uint8Array;
  readonly #after: Uint8Array;

  private constructor(choice: number, before: Uint8Array, after: Uint8Array) {
    this.#choice = choice;
    this.#before = before;
    this.#after = after;
  }

  /** The shape of an event that is a piece of one choice's content and nothing else; null for any other. */
  static of(event: Uint8Array): EventShape | null {
    const text = decoder.decode(event);
    const [member, another] = text.matchAll(contentMember);
    if (!member || another || !text.startsWith("data:") || lineEndWithin.test(text)) return null;
    const start = member.index + member[0].length;
    const before = text.slice(0, start);
    const rest = encoder.encode(text.slice(start));
    const end = contentEnd(rest, 0);
    if (end < 0) return null;
    const after = rest.slice(end);
    // Whatever stands in the marker's place stands in the same place of what is parsed.
    const [data, more] = eventData(before + marker + decoder.decode(after));
    const choice = data === undefined || more !== undefined ? null : markedChoice(data);
    return choice === null ? null : new EventShape(choice, encoder.encode(before), after);
  }

  /** Takes the content of the events of this shape that a slice begins with; returns how many bytes these are. */
  take(slice: Uint8Array, takeContent: TakeContent): number {
    for (let taken = 0; ; ) {
      const start = skip(slice, taken, this.#before);
      const end = start < 0 ? -1 : contentEnd(slice, start);
      const next = end < 0 ? -1 : skip(slice, end, this.#after);
      const content = next < 0 ? null : contentOf(slice, start, end);
      if (!content) return taken;
      takeContent(this.#choice, content);
      taken = next;
    }
  }
}

/** Where a part that stands at a place ends; -1 where it does not stand there. */
function skip(bytes: Uint8Array, at: number, part: Uint8Array): number {
  const length = part.length;
  if (at + length > bytes.length) return -1;
  for (let i = 0; i < length; i++) if (bytes[at + i] !== part[i]) return -1;
  return at + length;
}

/** Where the closing quote of a JSON text stands; -1 where there is none. */
function contentEnd(bytes: Uint8Array, start: number): number {
  const length = bytes.length;
  for (let at = start; at < length; at++) {
    const byte = bytes[at] as number;
    if (byte === quote) return at;
    // Neither does JSON text hold a control character, nor an event's line its end.
    if (byte < firstPrintable) return -1;
    if (byte === backslash) at++;
  }
  return -1;
}

/** The text as UTF-8 of whole characters; null where it is no such text. */
function contentOf(bytes: Uint8Array, start: number, end: number): Uint8Array | null {
  if (isTorn(bytes, start, end)) return null;
  const json = bytes.subarray(start, end);
  return json.includes(backslash) ? unescaped(json) : json;
}

/** The index of the one choice whose content is the marker; null where there is more to an event than that. */
function markedChoice(data: string): number | null {
  const body = parsedJson(data);
  if (!isObject(body) || errorIn(body) !== undefined || isObject(body["usage"])) return null;
  const [choice, another] = Array.isArray(body["choices"]) ? body["choices"] : [];
  if (!isObject(choice) || another !== undefined || !isObject(choice["delta"])) return null;
  const { content, reasoning, reasoning_content, tool_calls } = choice["delta"];
  const more = [choice["finish_reason"], reasoning, reasoning_content, tool_calls];
  const index = choice["index"] ?? 0;
  return content === marker && typeof index === "number" && more.every((value) => value == null) ? index : null;
}

/** Null where an escape is none, or stands for half a character: the other half comes with another event. */
function unescaped(json: Uint8Array): Uint8Array | null {
  const text = parsedJson(`"${decoder.decode(json)}"`);
  return typeof text === "string" && text.isWellFormed() ? encoder.encode(text) : null;
}

/** Whether a text's first or last character is not whole: it would join another event's half of it. */
function isTorn(bytes: Uint8Array, start: number, end: number): boolean {
  if (end === start) return false;
  if (isContinuation(bytes[start])) return true;
  let last = end - 1;
  while (last > start && isContinuation(bytes[last])) last--;
  return end - last < lengthOf(bytes[last] as number);
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x80 && byte < 0xc0;
}

/** Bytes of the character that a byte begins. */
function lengthOf(lead: number): number {
  if (lead < 0xc0) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}
