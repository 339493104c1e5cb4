import { type Counted, isSpeech, type Wire } from "./answer.ts";
import type { SimCall } from "./request.ts";
import { type TokenLogprob, tokenLogprob, tokens } from "./tokens.ts";

export type Delta =
  | { kind: "role" }
  | { kind: "content"; text: string; logprob: TokenLogprob | null }
  | { kind: "reasoning"; text: string }
  | { kind: "toolStart"; index: number; id: string; name: string }
  | { kind: "toolArguments"; index: number; text: string };

/**
 * One moment of an answer; the stream shows it as it comes, the plain answer waits for the last. Who plays them
 * ends at an error, a cut, a stall or a reset.
 */
export type Beat =
  | { kind: "pause"; ms: number }
  | { kind: "delta"; choice: number; delta: Delta }
  | { kind: "finish"; choice: number; reason: string }
  | { kind: "comment"; text: string }
  | { kind: "error"; message: string }
  | { kind: "malformed" | "cut" | "stall" | "reset" };

type Change = { kind: "pace"; ms: number };

/** Milliseconds between tokens, and before the first one, when nobody says otherwise. */
const defaultPaceMs = 15;
const firstTokenPaces = 4;

/** What is said, when: the choices take turns token by token, with the pauses between them spelled out. */
export function* timeline(answers: Counted[], wire: Wire, call: SimCall, askedPaceMs: number | null): Generator<Beat> {
  let paceMs = askedPaceMs ?? defaultPaceMs;
  const firstMs = wire.firstMs ?? paceMs * firstTokenPaces;
  let begun = false;
  let spoken = false;
  let voices = answers.map((answer, choice) => voice(answer, choice, call));
  while (voices.length > 0) {
    let leading = true;
    const living: typeof voices = [];
    for (const speaker of voices) {
      const turn = speaker.next();
      if (turn.done) continue;
      living.push(speaker);
      const beat = turn.value;
      if (beat.kind === "pace") {
        paceMs = beat.ms;
        continue;
      }
      const isToken = beat.kind === "delta" && beat.delta.kind !== "role";
      if (!begun && beat.kind !== "comment" && beat.kind !== "pause") {
        begun = true;
        yield { kind: "pause", ms: firstMs };
      } else if (isToken && spoken && leading) {
        yield { kind: "pause", ms: paceMs };
      }
      spoken ||= isToken;
      leading = false;
      yield beat;
    }
    voices = living;
  }
}

/** One choice's moments. Only the first choice acts out a script's faults and pauses; they concern them all. */
function* voice(answer: Counted, choice: number, call: SimCall): Generator<Beat | Change> {
  let introduced = false;
  let tools = 0;
  let position = 0;
  for (const segment of answer.segments) {
    if (!isSpeech(segment)) {
      if (choice > 0) continue;
      yield segment.kind === "wait" ? { kind: "pause", ms: segment.ms } : segment;
      continue;
    }
    if (!introduced) yield { kind: "delta", choice, delta: { kind: "role" } };
    introduced = true;
    if (segment.kind === "tool") {
      const index = tools++;
      yield { kind: "delta", choice, delta: { kind: "toolStart", index, id: segment.id, name: segment.name } };
      for (const text of tokens(segment.arguments)) {
        yield { kind: "delta", choice, delta: { kind: "toolArguments", index, text } };
      }
      continue;
    }
    for (const text of tokens(segment.text)) {
      if (segment.kind === "reasoning") {
        yield { kind: "delta", choice, delta: { kind: "reasoning", text } };
        continue;
      }
      const logprob = call.body.logprobs ? logprobAt(text, choice, position++, call) : null;
      yield { kind: "delta", choice, delta: { kind: "content", text, logprob } };
    }
  }
  if (!introduced) yield { kind: "delta", choice, delta: { kind: "role" } };
  yield { kind: "finish", choice, reason: answer.finishReason };
}

function logprobAt(token: string, choice: number, position: number, call: SimCall): TokenLogprob {
  return tokenLogprob(token, call.body.top_logprobs ?? 0, call.random(`logprob ${choice} ${position}`));
}
