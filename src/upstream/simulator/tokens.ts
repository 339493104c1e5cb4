import type { Random } from "./random.ts";

/**
 * Pieces about as large as a model's tokens: one or two Chinese, Japanese or Korean characters, up to six
 * letters of another script with the space before them, up to three digits, a run of blanks, else one or two
 * other characters. The `v` flag reads code points, so no surrogate pair is ever split; the last branch makes
 * the pieces cover every text, lone surrogates included.
 */
const piece =
  /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}]{1,2}| ?[[\p{L}\p{M}]--[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}]]{1,6}| ?\p{Nd}{1,3}|\s{1,8}| ?[^\s\p{L}\p{M}\p{Nd}]{1,2}|[\s\S]/gv;

/** The text's tokens in order; joined they are the text. Lazy, so that a long text costs no second copy. */
export function* tokens(text: string): Generator<string> {
  for (const match of text.matchAll(piece)) yield match[0];
}

export function countTokens(text: string): number {
  let count = 0;
  for (const _ of tokens(text)) count++;
  return count;
}

export type Logprob = { token: string; logprob: number; bytes: number[] };
export type TokenLogprob = Logprob & { top_logprobs: Logprob[] };

/** What a token is offered against; more entries than `top_logprobs` can ask for. */
const vocabulary =
  " the, a, of, and, to, in, is, it, that, for, as, with, be, on, by, this, are, or, an, not, 的, 是, 在".split(",");

/**
 * Made-up log probabilities in OpenAI's shape: the token itself first and likeliest, then `alternatives - 1`
 * others, each less likely than the one before.
 */
export function tokenLogprob(token: string, alternatives: number, random: Random): TokenLogprob {
  const chosen = logprobOf(token, Math.log(0.5 + random.unit() / 2));
  const top: Logprob[] = alternatives > 0 ? [chosen] : [];
  let last = chosen.logprob;
  const start = random.int(0, vocabulary.length - 1);
  for (let step = 0; top.length < alternatives && step < vocabulary.length; step++) {
    const other = vocabulary[(start + step) % vocabulary.length] ?? "";
    if (other === token) continue;
    last -= 0.5 + random.unit();
    top.push(logprobOf(other, last));
  }
  return { ...chosen, top_logprobs: top };
}

function logprobOf(token: string, logprob: number): Logprob {
  return { token, logprob: Math.round(logprob * 1e6) / 1e6, bytes: [...new TextEncoder().encode(token)] };
}
