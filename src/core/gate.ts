import type { JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import type { Price } from "../contract/models.ts";
import type { Answer } from "./answer.ts";
import { AnswerReader } from "./answerReader.ts";
import { concatBytes } from "./boundedBody.ts";
import { AppError } from "./errors.ts";
import { isObject, parsedJson } from "./json.ts";
import { marksOf } from "./sliceMarks.ts";
import { EventSplitter, eventData, splitEvents } from "./sse.ts";
import { bodyError, errorIn } from "./upstreamErrors.ts";
import { withCost } from "./usageCost.ts";

export type GateOptions = {
  /** The client did not ask for usage: the chunk that carries only usage is kept from it. */
  hideUsage: boolean;
  /** Texts that must not reach a client (the upstream's address and key). */
  secrets: readonly string[];
  /** Of the model, for the cost in a usage chunk that the client did ask for. */
  price: Price | null;
  /** Kept of each of the answer's texts; what can be stored when it is absent. */
  maxTextBytes?: number;
};

/** What to write, and whether that was the end: `done` after `[DONE]`, or the error that takes its place. */
export type Passage = { bytes: Uint8Array; end?: "done" | AppError };

const nothing = new Uint8Array(0);
const doneEvent = new TextEncoder().encode("data: [DONE]\n\n");
const blankLine = new TextEncoder().encode("\n\n");

/** Some upstreams name an error by the event's type, its data being the message or an object. */
const errorEvent = /(?:^|[\r\n])event: ?error\s*(?:[\r\n]|$)/;

/**
 * Decides what of an upstream's stream reaches the client, and has the answer read on the way. Ordinary slices pass as
 * the very bytes that came. Looked at one by one: `[DONE]`, errors and usage.
 */
export class StreamGate {
  readonly #options: GateOptions;
  readonly #splitter = new EventSplitter();
  readonly #decoder = new TextDecoder();
  readonly #reader: AnswerReader;
  #bytes = 0;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#reader = new AnswerReader(options.maxTextBytes);
  }

  get answer(): Answer {
    return this.#reader.answer;
  }

  /** Called once, when the first token passes. */
  set onFirstToken(told: () => void) {
    this.#reader.onFirstToken = told;
  }

  /** Whether an event that is no error has been seen: from then on there is something to answer with. */
  get sawEvent(): boolean {
    return this.#reader.sawEvent;
  }

  /** Takes bytes as they come; the passage ends between two events. */
  pass(chunk: Uint8Array): Passage {
    this.#bytes += chunk.length;
    if (this.#bytes > limits.maxUpstreamBytes) return tooLong();
    const slice = this.#splitter.push(chunk);
    return slice ? this.#passSlice(slice) : { bytes: nothing };
  }

  /** The upstream's stream ended without `[DONE]`: whole if a finish reason was seen, else cut. */
  end(): Passage {
    const rest = this.#splitter.rest();
    const text = this.#decoder.decode(rest).trim();
    // Some upstreams leave out the last blank line; half an event is not one.
    const last = text === "" ? { bytes: nothing } : this.#lastSlice(rest, text);
    if (last.end) return last;
    this.#reader.settle();
    if (this.answer.complete) return { bytes: concatBytes([last.bytes, doneEvent]), end: "done" };
    const message = this.sawEvent ? "The upstream's stream ended early." : "The upstream sent an empty stream.";
    return { bytes: last.bytes, end: new AppError("upstream_error", message) };
  }

  /** Reads what has passed unread; call before looking at `answer`. */
  settle(): Answer {
    this.#reader.settle();
    return this.answer;
  }

  #lastSlice(rest: Uint8Array, text: string): Passage {
    const data = eventData(`${text}\n\n`);
    const whole = data.length > 0 && data.every((item) => item === "[DONE]" || parsedJson(item) !== undefined);
    return whole ? this.#passSlice(concatBytes([rest, blankLine])) : { bytes: nothing };
  }

  #passSlice(slice: Uint8Array): Passage {
    const taken = this.#reader.takeAlike(slice);
    if (taken === slice.length) return { bytes: slice };
    const rest = slice.subarray(taken);
    const marks = marksOf(rest);
    if (marks.worthALook) return this.#passEvents(slice, taken);
    this.#reader.take(rest, marks);
    return { bytes: slice };
  }

  /** Looks at each event of a slice from a place on. */
  #passEvents(slice: Uint8Array, from: number): Passage {
    this.#reader.beginEvents();
    const passed: Uint8Array[] = from > 0 ? [slice.subarray(0, from)] : [];
    for (const event of splitEvents(slice.subarray(from))) {
      const text = this.#decoder.decode(event);
      const [data] = eventData(text);
      if (data?.trim() === "[DONE]") return this.#passDone(passed, event);
      const body = data === undefined ? undefined : this.#takeNamed(text, data);
      if (body && isErrorBody(body)) return { bytes: concatBytes(passed), end: bodyError(body, this.#options.secrets) };
      if (body && isUsageOnly(body)) {
        if (!this.#options.hideUsage) passed.push(this.#priced(event, text, body));
        continue;
      }
      passed.push(event);
    }
    return { bytes: concatBytes(passed) };
  }

  /** The usage chunk that was asked for, with what it comes to in money. */
  #priced(event: Uint8Array, text: string, body: JsonObject): Uint8Array {
    const start = text.indexOf("{");
    const end = text.lastIndexOf("}") + 1;
    const json = text.slice(start, end);
    const priced = withCost(json, body, this.answer, this.#options.price);
    return priced === json ? event : new TextEncoder().encode(text.slice(0, start) + priced + text.slice(end));
  }

  #passDone(passed: Uint8Array[], done: Uint8Array): Passage {
    if (this.answer.complete) return { bytes: concatBytes([...passed, done]), end: "done" };
    return {
      bytes: concatBytes(passed),
      end: new AppError("upstream_error", "The upstream's stream ended without a finish reason."),
    };
  }

  #takeNamed(event: string, data: string): JsonObject | undefined {
    if (!errorEvent.test(event)) return this.#reader.takeData(data);
    const body = parsedJson(data);
    return isObject(body) && isErrorBody(body) ? body : { error: isObject(body) ? body : data };
  }
}

function tooLong(): Passage {
  return {
    bytes: nothing,
    end: new AppError("upstream_error", `The upstream's answer is longer than ${limits.maxUpstreamBytes} bytes.`),
  };
}

function isErrorBody(body: Record<string, unknown>): boolean {
  return errorIn(body) !== undefined;
}

function isUsageOnly(body: Record<string, unknown>): boolean {
  return isObject(body["usage"]) && Array.isArray(body["choices"]) && body["choices"].length === 0;
}
