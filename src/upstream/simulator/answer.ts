import type { SimCall } from "./request.ts";
import { countTokens, tokens } from "./tokens.ts";

/** What one choice says and does, in order. Everything but the first two kinds belongs to scripts. */
export type Segment =
  | { kind: "content"; text: string }
  | { kind: "reasoning"; text: string }
  | { kind: "tool"; id: string; name: string; arguments: string }
  | { kind: "wait"; ms: number }
  | { kind: "pace"; ms: number }
  | { kind: "comment"; text: string }
  | { kind: "error"; message: string }
  | { kind: "malformed" | "cut" | "stall" | "reset" };

/** What is said, and counted in tokens. */
export type Speech = Extract<Segment, { kind: "content" | "reasoning" | "tool" }>;

export function isSpeech(segment: Segment): segment is Speech {
  return segment.kind === "content" || segment.kind === "reasoning" || segment.kind === "tool";
}

export type Answer = { segments: Segment[]; finishReason: string };

/** How the answer as a whole behaves on the wire. */
export type Wire = {
  /** The connection fails: no response at all. */
  refused: boolean;
  /** Silence before the response's headers, and before the first event (null: as the pace has it). */
  headersMs: number;
  firstMs: number | null;
  /** An error response instead of the answer. */
  status: { code: number; message: string; retryAfter: string | null } | null;
  /** A body that is no completion. */
  page: "html" | "empty" | null;
  usage: "counted" | "none" | { promptTokens: number; completionTokens: number };
  usageTwice: boolean;
  /** Stream only: size of the pieces the bytes arrive in, line ends, byte order mark, the end. */
  chunkBytes: number | null;
  crlf: boolean;
  bom: boolean;
  done: boolean;
  afterDone: boolean;
};

export const plainWire: Wire = {
  refused: false,
  headersMs: 0,
  firstMs: null,
  status: null,
  page: null,
  usage: "counted",
  usageTwice: false,
  chunkBytes: null,
  crlf: false,
  bom: false,
  done: true,
  afterDone: false,
};

export type Reply = { answers: Answer[]; wire: Wire };

/** Tokens of one bounded answer; `completion` includes `reasoning`. */
export type Counted = Answer & { completionTokens: number; reasoningTokens: number };

/** One answer per choice asked for (`n`); each is told its index so that it may differ. */
export function replyOf(call: SimCall, answer: (choice: number) => Answer, wire: Wire = plainWire): Reply {
  return { answers: Array.from({ length: call.body.n ?? 1 }, (_, choice) => answer(choice)), wire };
}

/** An ordinary text answer. */
export function textAnswer(text: string): Answer {
  return { segments: [{ kind: "content", text }], finishReason: "stop" };
}

/**
 * The answer as far as `stop` and the token bound let it go, with its tokens counted. A stop string is looked
 * for in the whole content, across segments and tokens; it and all after it are left out. Running into the
 * bound makes the finish reason `length`.
 */
export function bounded(answer: Answer, call: SimCall): Counted {
  const stopped = stopAt(answer, call.body.stop);
  const counted: Counted = { ...stopped, segments: [], completionTokens: 0, reasoningTokens: 0 };
  let left = call.body.max_completion_tokens ?? call.body.max_tokens ?? Number.POSITIVE_INFINITY;
  for (const segment of stopped.segments) {
    if (!isSpeech(segment)) {
      counted.segments.push(segment);
      continue;
    }
    const { fitting, count, cut } = firstTokens(segment, left);
    left -= count;
    counted.completionTokens += count;
    if (segment.kind === "reasoning") counted.reasoningTokens += count;
    if (fitting) counted.segments.push(fitting);
    if (cut) return { ...counted, finishReason: "length" };
  }
  return counted;
}

/** As much of a segment as that many tokens hold; a tool's name counts too, and is never cut. */
function firstTokens(segment: Speech, bound: number): { fitting: Speech | null; count: number; cut: boolean } {
  const name = segment.kind === "tool" ? countTokens(segment.name) : 0;
  const text = segment.kind === "tool" ? segment.arguments : segment.text;
  if (name > bound) return { fitting: null, count: 0, cut: true };
  let count = name;
  let length = 0;
  for (const token of tokens(text)) {
    if (count === bound) {
      const part = text.slice(0, length);
      const fitting = segment.kind === "tool" ? { ...segment, arguments: part } : { ...segment, text: part };
      return { fitting, count, cut: true };
    }
    count++;
    length += token.length;
  }
  return { fitting: segment, count, cut: false };
}

function stopAt(answer: Answer, stop: string | string[] | undefined): Answer {
  // A malformed stop string could split a surrogate pair; an empty one would match everywhere.
  const stops = [stop ?? []].flat().filter((text) => text !== "" && text.isWellFormed());
  const content = answer.segments.map((segment) => (segment.kind === "content" ? segment.text : "")).join("");
  const found = stops.map((text) => content.indexOf(text)).filter((at) => at >= 0);
  if (found.length === 0) return answer;
  let left = Math.min(...found);
  const segments: Segment[] = [];
  for (const segment of answer.segments) {
    if (segment.kind !== "content") {
      segments.push(segment);
      continue;
    }
    segments.push({ ...segment, text: segment.text.slice(0, left) });
    if (segment.text.length > left) break;
    left -= segment.text.length;
  }
  return { segments, finishReason: "stop" };
}
