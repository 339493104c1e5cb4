import type { JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import type { Usage } from "../contract/runs.ts";
import { isObject } from "./json.ts";
import { KeptText } from "./keptText.ts";

/** A tool call as OpenAI shapes it; only these texts of it are kept, whatever else an upstream nests in one. */
export type FoldedToolCall = { id: string; type: "function"; function: { name: string; arguments: string } };

/** Texts of a choice; those of a kind that has not been seen are null. */
export type TakenTexts = { content: string | null; reasoning: string | null; toolCalls: FoldedToolCall[] };

type Choice = {
  /** Null until a text of its kind, if only an empty one, has been seen. */
  content: KeptText | null;
  reasoning: KeptText | null;
  toolCalls: Map<number, FoldedToolCall>;
  finishReason: string | null;
};

/** What is known of an answer, however it was read. */
export type AnswerRead = Pick<
  Answer,
  "model" | "malformed" | "usage" | "finishReason" | "content" | "reasoning" | "toolCalls"
>;

/**
 * An answer as it has been read so far, the same for a stream and for a whole body. Of each of its texts it keeps
 * `maxTextBytes`.
 */
export class Answer {
  model: string | null = null;
  /** True when a frame was not JSON. */
  malformed = false;
  #usage: Usage | null = null;
  #begun = false;
  readonly #maxTextBytes: number;
  readonly #choices = new Map<number, Choice>();

  constructor(maxTextBytes: number = limits.maxStoredAnswerBytes) {
    this.#maxTextBytes = maxTextBytes;
  }

  /** Reads a chunk of a stream or a whole completion; what does not look like one is left alone. */
  add(body: JsonObject): void {
    if (typeof body["model"] === "string" && body["model"]) this.model = body["model"].slice(0, limits.maxNameChars);
    this.#usage = readUsage(body["usage"]) ?? this.#usage;
    if (!Array.isArray(body["choices"])) return;
    for (const [position, choice] of body["choices"].entries()) {
      if (!isObject(choice)) continue;
      const index = typeof choice["index"] === "number" ? choice["index"] : position;
      const delta = choice["delta"] ?? choice["message"];
      this.#fold(index, isObject(delta) ? delta : {}, choice["finish_reason"]);
    }
  }

  /** Adds to the content of a choice that has one, as UTF-8 of whole characters. */
  addContent(index: number, utf8: Uint8Array): void {
    this.#choices.get(index)?.content?.appendUtf8(utf8);
  }

  /** How much text is kept, bytes, about. */
  get size(): number {
    let size = 0;
    for (const { content, reasoning } of this.#choices.values()) size += (content?.size ?? 0) + (reasoning?.size ?? 0);
    return size;
  }

  /** Whether each choice has content, as much as is kept of it. */
  get contentIsFull(): boolean {
    if (this.#choices.size === 0) return false;
    for (const { content } of this.#choices.values()) if (!content?.isFull) return false;
    return true;
  }

  /** The last valid usage; none at all where it counts no token of an answer that has some. */
  get usage(): Usage | null {
    return this.#usage?.completionTokens === 0 && this.begun ? null : this.#usage;
  }

  /** Whether a token, of content, reasoning or a tool call, has been seen. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Whether every choice has its finish reason: only then is the answer whole. */
  get complete(): boolean {
    if (this.#choices.size === 0) return false;
    for (const choice of this.#choices.values()) if (choice.finishReason === null) return false;
    return true;
  }

  get finishReason(): string | null {
    return this.#first?.finishReason ?? null;
  }

  get content(): string | null {
    return this.#first?.content?.toString() ?? null;
  }

  get reasoning(): string | null {
    return this.#first?.reasoning?.toString() ?? null;
  }

  get toolCalls(): FoldedToolCall[] {
    return [...(this.#first?.toolCalls.values() ?? [])];
  }

  /**
   * What has come of the first choice since the last call: texts, and of each tool call what is known of it with the
   * rest of its arguments. None of these texts is kept from then on.
   */
  take(): TakenTexts {
    const choice = this.#first;
    const content = choice?.content?.take() ?? null;
    const reasoning = choice?.reasoning?.take() ?? null;
    const toolCalls = [...(choice?.toolCalls.values() ?? [])].map((call) => {
      const taken = { ...call, function: { ...call.function } };
      call.function.arguments = "";
      return taken;
    });
    return { content, reasoning, toolCalls };
  }

  get #first(): Choice | undefined {
    return this.#choices.get(0) ?? this.#choices.values().next().value;
  }

  #fold(index: number, delta: JsonObject, finishReason: unknown): void {
    let choice = this.#choices.get(index);
    if (!choice) {
      choice = { content: null, reasoning: null, toolCalls: new Map(), finishReason: null };
      this.#choices.set(index, choice);
    }
    const content = textOf(delta["content"]);
    if (content !== null) {
      choice.content ??= new KeptText(this.#maxTextBytes);
      choice.content.append(content);
    }
    // Upstreams name it one way or the other; both at once would be the same text twice.
    const reasoning = delta["reasoning"] ?? delta["reasoning_content"];
    if (typeof reasoning === "string") {
      choice.reasoning ??= new KeptText(this.#maxTextBytes);
      choice.reasoning.append(reasoning);
    }
    if (Array.isArray(delta["tool_calls"])) foldToolCalls(choice.toolCalls, delta["tool_calls"]);
    this.#begun ||=
      Boolean(content) || (typeof reasoning === "string" && reasoning !== "") || choice.toolCalls.size > 0;
    if (typeof finishReason === "string") choice.finishReason = finishReason.slice(0, limits.maxNameChars);
  }
}

/** Tool calls come in fragments: id and name first, then pieces of the arguments, told apart by `index`. */
function foldToolCalls(calls: Map<number, FoldedToolCall>, fragments: unknown[]): void {
  for (const [position, fragment] of fragments.entries()) {
    if (!isObject(fragment)) continue;
    const index = typeof fragment["index"] === "number" ? fragment["index"] : position;
    const piece = isObject(fragment["function"]) ? fragment["function"] : {};
    const call = calls.get(index) ?? { id: "", type: "function", function: { name: "", arguments: "" } };
    calls.set(index, call);
    if (!call.id && typeof fragment["id"] === "string") call.id = fragment["id"];
    if (!call.function.name && typeof piece["name"] === "string") call.function.name = piece["name"];
    if (typeof piece["arguments"] === "string") call.function.arguments += piece["arguments"];
  }
}

/** Text of a content, which some upstreams send as parts; null when there is none. */
function textOf(content: unknown): string | null {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return null;
  const texts = content.map((part) => (isObject(part) && typeof part["text"] === "string" ? part["text"] : ""));
  return texts.join("");
}

/** Usage as the upstream reports it; null when it is absent or makes no sense (a negative count, say). */
function readUsage(value: unknown): Usage | null {
  if (!isObject(value)) return null;
  const promptTokens = count(value["prompt_tokens"]);
  const completionTokens = count(value["completion_tokens"]);
  if (promptTokens === null || completionTokens === null) return null;
  const details = value["completion_tokens_details"];
  return {
    promptTokens,
    completionTokens,
    reasoningTokens: isObject(details) ? count(details["reasoning_tokens"]) : null,
  };
}

function count(value: unknown): number | null {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= limits.maxTokenCount
    ? value
    : null;
}
