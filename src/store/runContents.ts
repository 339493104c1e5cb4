import type { ChatMessage, JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import type { RunContents } from "../contract/runs.ts";
import type { RecordedContents } from "../core/runRecord.ts";

/** The JSON texts of a row of `run_contents`. */
export type PackedContents = { request: string; answer: string; cut: boolean };

type Request = Pick<RunContents, "messages" | "request" | "variables">;
type Answer = Pick<RunContents, "content" | "reasoning" | "toolCalls" | "output" | "answerCut">;

/** Below this no string is cut (JSON bytes): roles, types, names and ids stay whole. */
const shortestCutBytes = 64;

/**
 * Request and answer as JSON of at most `limits.maxStoredRequestBytes` and `maxStoredAnswerBytes` of UTF-8. Too long
 * ones have their longest strings cut; if structure alone is too large, only roles, the beginnings of texts, the
 * answer and the reasoning remain.
 */
export function packContents(contents: RecordedContents): PackedContents {
  const { messages, request, variables, content, reasoning, toolCalls, output } = contents;
  const asked: Request = { messages, request, variables };
  const answered: Answer = { content, reasoning, toolCalls, ...(output !== undefined && { output }) };
  const packedRequest = within(asked, limits.maxStoredRequestBytes, {
    mark: {},
    outlined: () => ({ messages: messages.slice(-limits.maxMessages).map(outline), request: {}, variables: null }),
  });
  const outlined = () => {
    // Two strings share the row's bytes, with room for the names around them.
    const bytes = limits.maxStoredAnswerBytes / 2 - shortestCutBytes;
    return {
      content: content === null ? null : cutString(content, bytes),
      reasoning: reasoning === null ? null : cutString(reasoning, bytes),
      toolCalls: [],
    };
  };
  // The request may be cut where the answer is whole: the answer says for itself that it is not.
  const mark: Pick<Answer, "answerCut"> = { answerCut: true };
  const packedAnswer = within(answered, limits.maxStoredAnswerBytes, { mark, outlined });
  return { request: packedRequest.json, answer: packedAnswer.json, cut: packedRequest.cut || packedAnswer.cut };
}

/** The contents of a row as the wire shows them; what a row holds was packed above. */
export function unpackContents(row: { request: JsonObject; answer: JsonObject; cut: boolean }): RunContents {
  return { ...(row.request as Request), ...(row.answer as Answer), cut: row.cut };
}

type Cutting<T> = {
  /** What else is told of a value that was cut. */
  mark: Partial<T>;
  outlined: () => T;
};

function within<T extends object>(
  value: T,
  maxBytes: number,
  { mark, outlined }: Cutting<T>,
): { json: string; cut: boolean } {
  const json = JSON.stringify(value);
  // A UTF-16 unit is at most 3 bytes: most runs need no closer look.
  if (json.length * 3 <= maxBytes) return { json, cut: false };
  const bytes = byteLength(json);
  if (bytes <= maxBytes) return { json, cut: false };
  const lengths: number[] = [];
  eachString(value, (text) => lengths.push(measure(text, Number.POSITIVE_INFINITY).bytes));
  const longest = longestFitting(lengths, maxBytes - byteLength(JSON.stringify(mark)) - bytes);
  if (longest < shortestCutBytes) return { json: JSON.stringify({ ...outlined(), ...mark }), cut: true };
  return {
    json: JSON.stringify({ ...value, ...mark }, (_, part) =>
      typeof part === "string" ? cutString(part, longest) : part,
    ),
    cut: true,
  };
}

/** The length to cut strings to so that they shrink by `-spare` bytes in all; negative when they cannot. */
function longestFitting(lengths: number[], spare: number): number {
  let excess = -spare;
  const sorted = lengths.toSorted((a, b) => b - a);
  for (const [index, length] of sorted.entries()) {
    const next = sorted[index + 1] ?? 0;
    const gain = (length - next) * (index + 1);
    if (gain >= excess) return Math.floor(length - excess / (index + 1));
    excess -= gain;
  }
  return -1;
}

/** Values only; the names of fields are never cut. */
function eachString(value: unknown, visit: (text: string) => void): void {
  if (typeof value === "string") visit(value);
  else if (typeof value === "object" && value !== null)
    for (const part of Object.values(value)) eachString(part, visit);
}

function outline(message: ChatMessage): ChatMessage {
  const { role, content } = message;
  return { role, content: typeof content === "string" ? cutString(content, shortestCutBytes) : null };
}

function cutString(text: string, maxBytes: number): string {
  if (text.length * 6 <= maxBytes) return text;
  return text.slice(0, measure(text, maxBytes).end);
}

/** Bytes that `text` takes inside a JSON string, and the end of the part that takes at most `maxBytes`. */
function measure(text: string, maxBytes: number): { bytes: number; end: number } {
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    const size = jsonBytes(character);
    if (bytes + size > maxBytes) break;
    bytes += size;
    end += character.length;
  }
  return { bytes, end };
}

function jsonBytes(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code === 0x22 || code === 0x5c) return 2;
  if (code < 0x20) return "\b\f\n\r\t".includes(character) ? 2 : 6;
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  if (code >= 0x10000) return 4;
  // JSON.stringify escapes a lone surrogate.
  return code >= 0xd800 && code <= 0xdfff ? 6 : 3;
}

const utf8 = new TextEncoder();

function byteLength(text: string): number {
  return utf8.encode(text).length;
}
