import type { ToolCallDelta } from "../contract/jobs.ts";
import { limits } from "../contract/limits.ts";
import type { AnswerDelta } from "./answerDelta.ts";

/** What the names around a piece of a tool call take, characters of JSON. */
const namesChars = 64;

/**
 * A delta as some of at most `limits.maxDeltaChars`, which tell the same one after the other. Only an id or a name that
 * is longer, which comes whole in one event of an upstream, makes a longer one.
 */
export function deltaParts(delta: AnswerDelta): AnswerDelta[] {
  const parts: AnswerDelta[] = [];
  let room = 0;
  const partWith = (chars: number): AnswerDelta => {
    const last = parts.at(-1);
    room -= chars;
    if (last && room >= 0) return last;
    const part: AnswerDelta = {};
    parts.push(part);
    room = limits.maxDeltaChars - chars;
    return part;
  };
  for (const field of ["reasoning", "content"] as const)
    for (const piece of pieces(delta[field])) {
      const part = partWith(piece.length);
      part[field] = (part[field] ?? "") + piece;
    }
  for (const call of delta.toolCalls ?? [])
    for (const piece of callPieces(call)) addCall(partWith(namesChars + charsOf(piece)), piece);
  return parts;
}

/** Id, name and arguments each on their own: none of them has a bound of its own. */
function callPieces({ index, id, name, arguments: text }: ToolCallDelta): ToolCallDelta[] {
  const told = [
    ...(id === undefined ? [] : [{ index, id }]),
    ...(name === undefined ? [] : [{ index, name }]),
    ...pieces(text).map((piece) => ({ index, arguments: piece })),
  ];
  return told.length > 0 ? told : [{ index }];
}

function addCall(part: AnswerDelta, piece: ToolCallDelta): void {
  part.toolCalls ??= [];
  const last = part.toolCalls.at(-1);
  const { arguments: text, ...told } = piece;
  if (last?.index !== piece.index) part.toolCalls.push(piece);
  else Object.assign(last, told, text !== undefined && { arguments: (last.arguments ?? "") + text });
}

function charsOf({ id = "", name = "", arguments: text = "" }: ToolCallDelta): number {
  return id.length + name.length + text.length;
}

/** The text in pieces that fit a part; never cut between the halves of a surrogate pair. */
function pieces(text: string | undefined): string[] {
  if (text === undefined || text === "") return text === undefined ? [] : [text];
  const found: string[] = [];
  for (let at = 0; at < text.length; ) {
    let end = Math.min(text.length, at + limits.maxDeltaChars - namesChars);
    if (end < text.length && /[\ud800-\udbff]/.test(text.charAt(end - 1))) end--;
    found.push(text.slice(at, end));
    at = end;
  }
  return found;
}
