import { limits } from "../../contract/limits.ts";
import { AppError } from "../../core/errors.ts";
import { type Answer, plainWire, type Reply, replyOf, type Segment, type Wire } from "./answer.ts";
import { lastUserText, type SimCall } from "./request.ts";

/**
 * `sim/script`: the last user message says what the answer is and what goes wrong with it. One directive a line;
 * blank lines and lines that begin with `#` are skipped. A value in double quotes is read as a JSON string, for
 * newlines and outer spaces. Or the message is JSON: a list of such lines and of objects with one directive
 * each, the value a string, number, `true`, or a list of words (`[{"say": "a\nb"}, {"tool": ["look", {"x": 1}]}]`).
 *
 * In order, as the answer goes on:
 * - `say TEXT`, `reason TEXT`: content and reasoning, token by token
 * - `tool NAME JSON`: a tool call; its arguments are sent as written, valid or not (default `{}`)
 * - `wait MS`: a pause; `pace MS`: from here on that long between tokens
 * - `comment TEXT`: an SSE comment; `malformed`: a chunk that is no JSON, after which the stream goes on
 * - `error MESSAGE`: an error object in place of a chunk, then the end
 * - `cut`: the end without finish or `[DONE]`; `reset`: the connection breaks; `stall`: silence until the caller
 *   gives up. A directive of this list after one of these four is refused, as it could not happen.
 *
 * For the whole answer, wherever they stand:
 * - `finish REASON` (default `stop`, or `tool_calls`); `nodone`: no `[DONE]`; `after-done`: a chunk behind it
 * - `usage PROMPT COMPLETION` (negative ones too), `usage none`, `usage twice` (a wrong one, then the right one)
 * - `headers MS`, `first MS`: silence before the response's headers, before the first event
 * - `chunk BYTES`: the stream arrives in pieces of that size; `crlf`, `bom`: legal oddities of a stream
 * - `status CODE [MESSAGE] [retry-after VALUE]`: an error response (300 to 599; a 3xx has a Location)
 * - `html`, `empty`: a body that is no completion, under 200 or the given status; `refuse`: no connection
 *
 * In a non-streaming answer `error` is the body under 200, `malformed` breaks the body's JSON, `cut` halves it,
 * `stall` sends no headers, and what belongs to streams alone has no effect. Anything unknown is an
 * `invalid_request` with param `messages`.
 */
export function script(call: SimCall): Reply {
  const draft: Draft = { segments: [], wire: { ...plainWire }, finishReason: null, ended: null };
  for (const { name, value } of readDirectives(lastUserText(call))) {
    const apply = directives.get(name);
    if (!apply) throw refused(`unknown directive ${JSON.stringify(name)}`);
    apply(draft, value, call);
  }
  const tools = draft.segments.some((segment) => segment.kind === "tool");
  const answer: Answer = {
    segments: draft.segments,
    finishReason: draft.finishReason ?? (tools ? "tool_calls" : "stop"),
  };
  return replyOf(call, () => answer, draft.wire);
}

type Draft = { segments: Segment[]; wire: Wire; finishReason: string | null; ended: string | null };
type Apply = (draft: Draft, value: string, call: SimCall) => void;

const ends = new Set<Segment["kind"]>(["error", "cut", "stall", "reset"]);

const directives = new Map<string, Apply>([
  ["say", (draft, text) => add(draft, { kind: "content", text })],
  ["reason", (draft, text) => add(draft, { kind: "reasoning", text })],
  ["wait", (draft, value) => add(draft, { kind: "wait", ms: pause("wait", value) })],
  ["pace", (draft, value) => add(draft, { kind: "pace", ms: pause("pace", value) })],
  ["comment", (draft, text) => add(draft, { kind: "comment", text })],
  ["error", (draft, message) => add(draft, { kind: "error", message: message || "A simulated error." })],
  ["malformed", (draft, value) => add(draft, bare("malformed", value))],
  ["cut", (draft, value) => add(draft, bare("cut", value))],
  ["stall", (draft, value) => add(draft, bare("stall", value))],
  ["reset", (draft, value) => add(draft, bare("reset", value))],
  ["tool", addTool],
  [
    "finish",
    (draft, reason) => {
      if (reason === "") throw refused("`finish` needs a reason");
      draft.finishReason = reason;
    },
  ],
  ["usage", setUsage],
  ["status", setStatus],
  ["headers", (draft, value) => set(draft, { headersMs: pause("headers", value) })],
  ["first", (draft, value) => set(draft, { firstMs: pause("first", value) })],
  ["chunk", (draft, value) => set(draft, { chunkBytes: whole("chunk", value, 1, limits.maxUpstreamBytes) })],
  ...switches({
    nodone: { done: false },
    "after-done": { afterDone: true },
    crlf: { crlf: true },
    bom: { bom: true },
    html: { page: "html" },
    empty: { page: "empty" },
    refuse: { refused: true },
  }),
]);

function switches(table: Record<string, Partial<Wire>>): [string, Apply][] {
  return Object.entries(table).map(([name, change]) => [
    name,
    (draft, value) => {
      bare(name, value);
      set(draft, change);
    },
  ]);
}

function set(draft: Draft, change: Partial<Wire>): void {
  Object.assign(draft.wire, change);
}

function add(draft: Draft, segment: Segment): void {
  if (draft.ended) throw refused(`nothing can follow \`${draft.ended}\``);
  if (ends.has(segment.kind)) draft.ended = segment.kind;
  draft.segments.push(segment);
}

function addTool(draft: Draft, value: string, call: SimCall): void {
  const [, name, given] = /^(\S+)\s*([\s\S]*)$/.exec(value) ?? [];
  if (!name) throw refused("`tool` needs a name");
  const id = `call_${call.random(`tool ${draft.segments.length}`).hex(24)}`;
  add(draft, { kind: "tool", id, name, arguments: given || "{}" });
}

function setUsage(draft: Draft, value: string): void {
  if (value === "none" || value === "twice") {
    set(draft, value === "none" ? { usage: "none" } : { usageTwice: true });
    return;
  }
  const words = value.split(/\s+/);
  if (words.length !== 2) throw refused("`usage` takes two numbers, `none` or `twice`");
  const [promptTokens, completionTokens] = words.map((word) =>
    whole("usage", word, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  );
  set(draft, { usage: { promptTokens: promptTokens ?? 0, completionTokens: completionTokens ?? 0 } });
}

function setStatus(draft: Draft, value: string): void {
  const [, digits = "", rest = ""] = /^(\S*)\s*([\s\S]*)$/.exec(value) ?? [];
  const code = whole("status", digits, 300, 599);
  const [, message = "", retryAfter] = /^([\s\S]*?)(?:(?:^|\s+)retry-after\s+(.*))?$/.exec(rest) ?? [];
  // Printable ASCII is what a header can hold whatever else is wrong with it.
  if (retryAfter && !/^[\x20-\x7e]+$/.test(retryAfter)) throw refused("`retry-after` must be printable ASCII");
  set(draft, { status: { code, message: message || `A simulated status ${code}.`, retryAfter: retryAfter ?? null } });
}

function bare<Name extends string>(name: Name, value: string): { kind: Name } {
  if (value !== "") throw refused(`\`${name}\` takes no value`);
  return { kind: name };
}

function pause(name: string, value: string): number {
  return whole(name, value, 0, limits.maxSimulatedPauseMs);
}

function whole(name: string, value: string, low: number, high: number): number {
  const number = /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
  if (number >= low && number <= high) return number;
  throw refused(`\`${name}\` needs a whole number from ${low} to ${high}`);
}

type Directive = { name: string; value: string };

function readDirectives(source: string): Directive[] {
  const text = source.trim();
  if (text === "") throw refused("the last user message is empty; it should be a script");
  if (!text.startsWith("[") && !text.startsWith("{")) return text.split(/\r\n|\r|\n/).flatMap(readLine);
  return [parsed(text)].flat().flatMap((entry) => {
    if (typeof entry === "string") return readLine(entry);
    const [pair, ...others] = Object.entries(entry ?? {});
    if (!pair || others.length > 0) throw refused("an entry should hold one directive");
    return [{ name: pair[0], value: asText(pair[1]) }];
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refused("it begins like JSON but is not", cause);
  }
}

function readLine(line: string): Directive[] {
  const [, name, rest = ""] = /^\s*(\S+)(?:\s([\s\S]*))?$/.exec(line) ?? [];
  if (!name || name.startsWith("#")) return [];
  const value = rest.trimEnd();
  if (!/^"(?:[^"\\]|\\.)*"$/.test(value)) return [{ name, value: rest }];
  return [{ name, value: asText(parsed(value)) }];
}

/** A JSON value as it would stand on a line. */
function asText(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === true || value === null) return "";
  if (Array.isArray(value)) return value.map(asText).join(" ");
  return JSON.stringify(value);
}

function refused(reason: string, cause?: unknown): AppError {
  return new AppError("invalid_request", `messages: not a script: ${reason}`, { param: "messages", cause });
}
