import type { JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import { Answer } from "./answer.ts";
import { EventShape } from "./eventShape.ts";
import { isObject, parsedJson } from "./json.ts";
import type { SliceMarks } from "./sliceMarks.ts";
import { eventData, splitEvents } from "./sse.ts";
import { errorIn } from "./upstreamErrors.ts";

const nothing = new Uint8Array(0);
/** Bytes: most answers are short. */
const leastUnread = 4 * 1024;

/**
 * Reads the answer out of a stream's slices, each of which ends between two events. Pieces of content are taken by the
 * shape of their events, or else left unread for a while, as parsing in gulps costs less than parsing each event.
 */
export class AnswerReader {
  readonly answer: Answer;
  /** Called once, when the first token has been read. */
  onFirstToken: () => void = () => {};
  readonly #decoder = new TextDecoder();
  /** What has passed unread: whole events, copied out of the chunks so that these can go. */
  #unread: Uint8Array = nothing;
  #unreadBytes = 0;
  /** Of the last event, where that is known. */
  #shape: EventShape | null = null;
  /** Shapes that were looked for since one came again. */
  #lessons = 0;
  #begun = false;
  #sawEvent = false;

  constructor(maxTextBytes?: number) {
    this.answer = new Answer(maxTextBytes);
  }

  /** Whether an event that is no error has been seen. */
  get sawEvent(): boolean {
    return this.#sawEvent;
  }

  /** Takes what is of the last event's shape; returns how much of the slice that was. */
  takeAlike(slice: Uint8Array): number {
    if (!this.#shape) return 0;
    this.settle();
    const taken = this.#shape.take(slice, this.#takeContent);
    if (taken > 0) this.#lessons = 0;
    return taken;
  }

  /** Takes events, now or later; a piece of content shows what the next one may be like. */
  take(slice: Uint8Array, { moreThanContent }: Pick<SliceMarks, "moreThanContent">): void {
    const isContent = this.#begun && !moreThanContent;
    this.#shape = isContent ? this.#learn(slice) : null;
    if (isContent && this.#hasAll()) return;
    if (this.#begun) this.#leaveUnread(slice);
    else this.#readText(this.#decoder.decode(slice));
  }

  /** What comes next is looked at event by event: one like the last but one does not make up for what it tells. */
  beginEvents(): void {
    this.#shape = null;
    this.settle();
  }

  /** Takes one event's data as JSON; undefined where it is none. What reports an error is not taken into the answer. */
  takeData(data: string): JsonObject | undefined {
    const body = parsedJson(data);
    if (!isObject(body)) {
      this.#sawEvent = true;
      this.answer.malformed = true;
      return undefined;
    }
    if (errorIn(body) !== undefined) return body;
    this.#sawEvent = true;
    this.answer.add(body);
    if (!this.#begun && this.answer.begun) {
      this.#begun = true;
      this.onFirstToken();
    }
    return body;
  }

  /** Reads what was left unread. */
  settle(): void {
    if (this.#unreadBytes === 0) return;
    const text = this.#decoder.decode(this.#unread.subarray(0, this.#unreadBytes));
    this.#unreadBytes = 0;
    this.#readText(text);
  }

  readonly #takeContent = (choice: number, content: Uint8Array) => this.answer.addContent(choice, content);

  /** A server that never sends two events alike is not asked for their shape forever. */
  #learn(slice: Uint8Array): EventShape | null {
    if (++this.#lessons > limits.shapeLessons) return null;
    const [event] = splitEvents(slice);
    return event ? EventShape.of(event) : null;
  }

  /** Whether more content would change nothing of what is kept: most of a very long answer is never read. */
  #hasAll(): boolean {
    if (!this.answer.contentIsFull) return false;
    this.settle();
    this.#unread = nothing;
    return true;
  }

  #leaveUnread(slice: Uint8Array): void {
    if (this.#unreadBytes + slice.length > limits.foldGulpBytes) this.settle();
    if (slice.length > limits.foldGulpBytes) {
      this.#readText(this.#decoder.decode(slice));
      return;
    }
    const bytes = this.#unreadBytes + slice.length;
    if (bytes > this.#unread.length) {
      const grown = new Uint8Array(Math.min(limits.foldGulpBytes, Math.max(leastUnread, 2 * bytes)));
      grown.set(this.#unread.subarray(0, this.#unreadBytes));
      this.#unread = grown;
    }
    this.#unread.set(slice, this.#unreadBytes);
    this.#unreadBytes = bytes;
  }

  #readText(text: string): void {
    for (const data of eventData(text)) this.takeData(data);
  }
}
