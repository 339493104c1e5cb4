import type { JobEvent, ToolCallDelta } from "../contract/jobs.ts";
import type { Answer, FoldedToolCall } from "./answer.ts";

export type AnswerDelta = Omit<Extract<JobEvent, { type: "delta" }>, "seq" | "type">;

/** What has been read of an answer's first choice. */
export type AnswerText = Pick<Answer, "content" | "reasoning" | "toolCalls">;

/** Tells an answer that grows in pieces, each beginning where the last one ended; what is told the answer drops. */
export class AnswerCursor {
  #content = false;
  #reasoning = false;
  readonly #toolCalls: { id: boolean; name: boolean }[] = [];

  /** What has been added since the last call; null when nothing has. */
  advance(answer: Pick<Answer, "take">): AnswerDelta | null {
    const { content, reasoning, toolCalls: taken } = answer.take();
    const toolCalls = taken.flatMap((call, index) => this.#toolCall(call, index) ?? []);
    const delta: AnswerDelta = {
      // That there is a text is told even while it is empty.
      ...(reasoning !== null && (reasoning !== "" || !this.#reasoning) && { reasoning }),
      ...(content !== null && (content !== "" || !this.#content) && { content }),
      ...(toolCalls.length > 0 && { toolCalls }),
    };
    this.#content ||= content !== null;
    this.#reasoning ||= reasoning !== null;
    return Object.keys(delta).length > 0 ? delta : null;
  }

  #toolCall({ id, function: called }: FoldedToolCall, index: number): ToolCallDelta | null {
    const known = this.#toolCalls[index];
    const delta: ToolCallDelta = {
      index,
      ...(id !== "" && !known?.id && { id }),
      ...(called.name !== "" && !known?.name && { name: called.name }),
      ...(called.arguments !== "" && { arguments: called.arguments }),
    };
    this.#toolCalls[index] = { id: id !== "", name: called.name !== "" };
    return known === undefined || Object.keys(delta).length > 1 ? delta : null;
  }
}

/** The answer that a job's events tell so far: what came after the last attempt began. */
export class ToldAnswer implements AnswerText {
  content: string | null = null;
  reasoning: string | null = null;
  toolCalls: FoldedToolCall[] = [];

  add(event: JobEvent): void {
    if (event.type === "status" && event.status === "running") this.#clear();
    if (event.type !== "delta") return;
    if (event.content !== undefined) this.content = (this.content ?? "") + event.content;
    if (event.reasoning !== undefined) this.reasoning = (this.reasoning ?? "") + event.reasoning;
    for (const piece of event.toolCalls ?? []) this.#addToolCall(piece);
  }

  /** Whether a token has been told. */
  get begun(): boolean {
    return Boolean(this.content) || Boolean(this.reasoning) || this.toolCalls.length > 0;
  }

  #addToolCall({ index, id, name, arguments: piece }: ToolCallDelta): void {
    const call = this.toolCalls[index] ?? { id: "", type: "function", function: { name: "", arguments: "" } };
    this.toolCalls[index] = call;
    call.id = id ?? call.id;
    call.function.name = name ?? call.function.name;
    call.function.arguments += piece ?? "";
  }

  #clear(): void {
    this.content = null;
    this.reasoning = null;
    this.toolCalls = [];
  }
}
