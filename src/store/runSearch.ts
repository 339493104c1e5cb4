import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import type { ChatMessage, Metadata } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import type { RunSource, RunStatus } from "../contract/runs.ts";
import { hexOf } from "../core/digest.ts";
import { AppError } from "../core/errors.ts";
import type { RecordedContents } from "../core/runRecord.ts";

/*
 * Tokens of the inverted index `run_search`: one document per settled run, its row id is `runs.seq`.
 * The index is derived data. To rebuild it: DELETE FROM run_search, then walk `runs` by `seq` where the status is
 * settled, and insert (seq, runFacets(row), indexedText(contents of run_contents, or null)).
 */

/** As the migration made it; a virtual table is not of `schema.ts`, which migrations are generated from. */
export const runSearch = sqliteTable("run_search", { rowid: integer().notNull(), facets: text(), text: text() });

/** What a run can be found by, or what is sought; absent facts yield no token. */
export type RunFacts = {
  projectId: string;
  status?: RunStatus;
  source?: RunSource;
  template?: string;
  version?: number;
  model?: string;
  keyId?: string;
  metadata?: Metadata;
};

/**
 * One alphanumeric token per fact: a letter for its kind and the hex of its UTF-8 text, so that distinct facts never
 * share a token. `x`, not a hex digit, separates pairs.
 */
export function factTokens(facts: RunFacts): string[] {
  const tokens = [`p${hex(facts.projectId)}`];
  if (facts.status !== undefined) tokens.push(`s${hex(facts.status)}`);
  if (facts.source !== undefined) tokens.push(`o${hex(facts.source)}`);
  if (facts.template !== undefined) {
    tokens.push(`t${hex(facts.template)}`);
    if (facts.version !== undefined) tokens.push(`v${hex(facts.template)}x${facts.version}`);
  }
  if (facts.model !== undefined) tokens.push(`m${hex(facts.model)}`);
  if (facts.keyId !== undefined) tokens.push(`k${hex(facts.keyId)}`);
  for (const [key, value] of Object.entries(facts.metadata ?? {})) tokens.push(`d${hex(key)}x${hex(value)}`);
  return tokens;
}

/**
 * The text of a run as the index keeps it: `limits.maxIndexedChars` in all, up to half for the answer and the rest
 * for the messages from the newest back; what one side leaves unused the other may take.
 */
export function indexedText(contents: RecordedContents | null): string {
  if (!contents) return "";
  const answer = contents.content ?? "";
  let left = limits.maxIndexedChars - Math.min(answer.length, limits.maxIndexedChars / 2);
  const parts: string[] = [];
  for (const message of contents.messages.toReversed()) {
    if (left <= 0) break;
    const text = messageText(message).slice(0, left);
    parts.push(text);
    left -= text.length;
  }
  const used = parts.reduce((sum, part) => sum + part.length, 0);
  parts.unshift(answer.slice(0, limits.maxIndexedChars - used));
  return words(parts.join("\n")).join(" ");
}

/** The MATCH expression of a filter. Throws `invalid_request` for a text without a letter or digit. */
export function matchOf(facts: RunFacts, text: string | undefined): string {
  const facets = `facets : (${factTokens(facts).map(quoted).join(" AND ")})`;
  return text === undefined ? facets : `${facets} AND text : (${textQuery(text)})`;
}

/** Every word must occur, the last one at least as a beginning; a run of CJK characters must occur as it is. */
function textQuery(text: string): string {
  const units: { cjk: boolean; text: string; end: number }[] = [];
  for (const match of normalised(text).matchAll(word)) {
    const previous = units.at(-1);
    const unit = { cjk: match.groups?.["cjk"] !== undefined, text: match[0], end: match.index + match[0].length };
    if (unit.cjk && previous?.cjk && previous.end === match.index) {
      previous.text += ` ${unit.text}`;
      previous.end = unit.end;
    } else units.push(unit);
  }
  if (units.length === 0)
    throw new AppError("invalid_request", "text: has no letter or digit to search for", { param: "text" });
  const last = units.at(-1);
  return units.map((unit) => quoted(unit.text) + (unit === last && !unit.cjk ? " *" : "")).join(" AND ");
}

/**
 * One character of Chinese, Japanese or Korean, or a letter or digit with the other letters, digits and marks that
 * follow it: scripts without spaces are indexed by the character, and a word of them is found as a phrase. The letters
 * excepted are marks to SQLite's tokenizer, which sees no word in a mark alone.
 */
const word =
  /(?<cjk>[[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}ー]&&[\p{L}\p{N}]])|[[\p{L}\p{N}]--[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}ー\u19b0-\u19c0\u19c8\u19c9\u1cf2\u1cf3]][[\p{L}\p{N}\p{M}]--[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}ー]]*/gv;

function words(text: string): string[] {
  return normalised(text).match(word) ?? [];
}

/** Full-width and composed forms are one with their plain ones. */
function normalised(text: string): string {
  return text.normalize("NFKC").toLowerCase();
}

/** Only letters, digits and marks get here, so nothing inside can end the string. */
function quoted(token: string): string {
  return `"${token}"`;
}

function messageText(message: ChatMessage): string {
  if (typeof message.content === "string") return message.content;
  return (message.content ?? []).map((part) => (typeof part["text"] === "string" ? part["text"] : "")).join("\n");
}

const utf8 = new TextEncoder();

function hex(text: string): string {
  return hexOf(utf8.encode(text));
}
