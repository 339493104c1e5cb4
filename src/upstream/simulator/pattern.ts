import type { Random } from "./random.ts";

/** Repetition without an upper bound goes at most this far beyond its lower one. */
const extraRepeats = 4;
/** A pattern whose repetitions multiply is given up rather than followed. */
const maxChars = 10_000;

/**
 * A string for a common regular expression: literals, classes, escapes, groups, alternatives and repetition.
 * Look-around, back references and classes by property are not understood: the answer is then null. What comes
 * back is a candidate; the caller tests it against the expression itself.
 */
export function matching(source: string, random: Random): string | null {
  const reader: Reader = { source, at: 0, random, made: 0 };
  try {
    const text = alternatives(reader);
    return reader.at === source.length ? text() : null;
  } catch (error) {
    if (error instanceof NotUnderstood) return null;
    throw error;
  }
}

class NotUnderstood extends Error {}

type Reader = { source: string; at: number; random: Random; made: number };
/** Makes one string for a part of the pattern, anew at each call. */
type Maker = () => string;

function alternatives(reader: Reader): Maker {
  const branches = [sequence(reader)];
  while (reader.source[reader.at] === "|") {
    reader.at++;
    branches.push(sequence(reader));
  }
  return () => reader.random.pick(branches)();
}

function sequence(reader: Reader): Maker {
  const parts: Maker[] = [];
  while (reader.at < reader.source.length && !"|)".includes(reader.source[reader.at] ?? "")) {
    parts.push(repeated(reader, atom(reader)));
  }
  return () => parts.map((part) => part()).join("");
}

function atom(reader: Reader): Maker {
  const char = next(reader);
  if (char === "^" || char === "$") return () => "";
  if (char === "(") return group(reader);
  if (char === "[") return oneOf(reader, characterClass(reader));
  if (char === ".") return oneOf(reader, range("a", "z"));
  if (char === "\\") {
    const escaped = next(reader);
    if (escaped === "b") return () => "";
    return oneOf(reader, escapedSet(reader, escaped));
  }
  if ("*+?{".includes(char)) throw new NotUnderstood();
  return oneOf(reader, [char]);
}

function oneOf(reader: Reader, characters: string[]): Maker {
  if (characters.length === 0) throw new NotUnderstood();
  return () => {
    if (++reader.made > maxChars) throw new NotUnderstood();
    return reader.random.pick(characters);
  };
}

function group(reader: Reader): Maker {
  const opening = /^\?(?::|<[A-Za-z_]\w*>)/.exec(reader.source.slice(reader.at, reader.at + 64));
  if (opening) reader.at += opening[0].length;
  else if (reader.source[reader.at] === "?") throw new NotUnderstood();
  const inner = alternatives(reader);
  if (next(reader) !== ")") throw new NotUnderstood();
  return inner;
}

const quantifier = /^(?:([*+?])|\{(\d+)(,(\d*))?\})\??/;

function repeated(reader: Reader, part: Maker): Maker {
  const found = quantifier.exec(reader.source.slice(reader.at, reader.at + 32));
  if (!found) return part;
  reader.at += found[0].length;
  const [, sign, least, more, most] = found;
  const low = sign ? (sign === "+" ? 1 : 0) : Number(least);
  const open = sign === "?" ? 1 : low + extraRepeats;
  const high = sign ? open : more ? (most ? Number(most) : open) : low;
  if (low > maxChars) throw new NotUnderstood();
  return () => Array.from({ length: reader.random.int(low, Math.min(high, maxChars)) }, part).join("");
}

function characterClass(reader: Reader): string[] {
  const negated = reader.source[reader.at] === "^";
  if (negated) reader.at++;
  const found = new Set<string>();
  for (let char = next(reader); char !== "]"; char = next(reader)) {
    const set = char === "\\" ? escapedSet(reader, next(reader)) : [char];
    const from = set[0];
    const ranged = set.length === 1 && reader.source[reader.at] === "-" && reader.source[reader.at + 1] !== "]";
    if (!ranged || from === undefined) {
      for (const each of set) found.add(each);
      continue;
    }
    reader.at++;
    const end = next(reader);
    const to = end === "\\" ? escapedSet(reader, next(reader)) : [end];
    for (const each of range(from, to[0] ?? from)) found.add(each);
  }
  return negated ? printable.filter((char) => !found.has(char)) : [...found];
}

const range = (from: string, to: string): string[] => {
  const first = from.codePointAt(0) ?? 0;
  const last = Math.min(to.codePointAt(0) ?? 0, first + 511);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, offset) => String.fromCodePoint(first + offset));
};

const printable = range(" ", "~");
const digits = range("0", "9");
const wordCharacters = [...range("a", "z"), ...range("A", "Z"), ...digits, "_"];

function escapedSet(reader: Reader, escaped: string): string[] {
  switch (escaped) {
    case "d":
      return digits;
    case "w":
      return wordCharacters;
    case "s":
      return [" "];
    case "D":
      return range("a", "z");
    case "W":
      return ["-", " ", "."];
    case "S":
      return range("a", "z");
    case "n":
      return ["\n"];
    case "t":
      return ["\t"];
    case "r":
      return ["\r"];
    case "u": {
      const code = /^(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{4}))/.exec(reader.source.slice(reader.at, reader.at + 10));
      if (!code) throw new NotUnderstood();
      reader.at += code[0].length;
      return [String.fromCodePoint(Number.parseInt(code[1] ?? code[2] ?? "", 16))];
    }
    default:
      if (/[A-Za-z0-9]/.test(escaped)) throw new NotUnderstood();
      return [escaped];
  }
}

/** The next character, a whole code point. */
function next(reader: Reader): string {
  const code = reader.source.codePointAt(reader.at);
  if (code === undefined) throw new NotUnderstood();
  const char = String.fromCodePoint(code);
  reader.at += char.length;
  return char;
}
