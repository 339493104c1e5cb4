const encode = (text: string) => new TextEncoder().encode(text);

/** What a slice of a stream holds that is not an ordinary piece of text, as far as its bytes tell without being read. */
export type SliceMarks = {
  /** `[DONE]`, an error, a usage that is not null, an event with a type: to be looked at event by event. */
  worthALook: boolean;
  /** A finish reason, tool calls, reasoning: more than a piece of the content. */
  moreThanContent: boolean;
};

const quote = 0x22;
const bracket = 0x5b;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const colon = 0x3a;
const brace = 0x7b;
const space = 0x20;
const tab = 0x09;
const letterE = 0x65;
/** The first of its three bytes. */
const byteOrderMark = 0xef;

/** By its first byte. */
const first = new Uint8Array(256);
for (const byte of [quote, bracket, letterE]) first[byte] = 1;

const done = encode("[DONE]");
const error = encode('"error"');
const usage = encode('"usage"');
const eventField = encode("event:");
const finishReason = encode('"finish_reason"');
const toolCalls = encode('"tool_calls"');
const reasoning = encode('"reasoning');

/**
 * Looks for what is to be read in a slice that ends at an event's boundary. Text of an answer that spells one of these
 * out is escaped in its JSON, but for `[DONE]`, which costs a closer look only. Bytes, as a slice's string would cost
 * more than all of this.
 */
export function marksOf(bytes: Uint8Array): SliceMarks {
  let moreThanContent = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (first[byte] === 0) continue;
    if (byte === quote) {
      if (holds(bytes, at, error) || (holds(bytes, at, usage) && isObjectAfter(bytes, at + usage.length)))
        return { worthALook: true, moreThanContent: true };
      moreThanContent ||=
        holds(bytes, at, toolCalls) ||
        holds(bytes, at, reasoning) ||
        (holds(bytes, at, finishReason) && valueAfter(bytes, at + finishReason.length) === quote);
    } else if (byte === bracket ? holds(bytes, at, done) : beginsLine(bytes, at) && holds(bytes, at, eventField))
      return { worthALook: true, moreThanContent: true };
  }
  return { worthALook: false, moreThanContent };
}

function holds(bytes: Uint8Array, at: number, mark: Uint8Array): boolean {
  // Most of what begins like a mark goes on otherwise.
  if (bytes[at + 1] !== mark[1]) return false;
  for (let i = 2; i < mark.length; i++) if (bytes[at + i] !== mark[i]) return false;
  return true;
}

function beginsLine(bytes: Uint8Array, at: number): boolean {
  const before = bytes[at - 1];
  return at === 0 || before === lineFeed || before === carriageReturn || (at === 3 && bytes[0] === byteOrderMark);
}

function isObjectAfter(bytes: Uint8Array, at: number): boolean {
  return valueAfter(bytes, at) === brace;
}

/** The first byte of a member's value, past the colon and the blanks around it; undefined where no colon comes. */
function valueAfter(bytes: Uint8Array, from: number): number | undefined {
  const at = skipBlanks(bytes, from);
  return bytes[at] === colon ? bytes[skipBlanks(bytes, at + 1)] : undefined;
}

function skipBlanks(bytes: Uint8Array, from: number): number {
  let at = from;
  while (isBlank(bytes[at])) at++;
  return at;
}

function isBlank(byte: number | undefined): boolean {
  return byte === space || byte === tab || byte === lineFeed || byte === carriageReturn;
}
