import type { JobEvent, ToolCallDelta } from "../contract/jobs.ts";
import type { RunContents, RunWithContents } from "../contract/runs.ts";
import { isObject } from "./json.ts";

/**
 * A run that has ended, told from the run log: one delta and one `done`, numbered after what the watcher has seen. Where
 * the log keeps no contents, `done` alone, which says so: what the watcher has is all there is. An answer that the log
 * holds cut says so too.
 */
export function loggedEvents({ run, contents }: RunWithContents, afterSeq: number): JobEvent[] {
  const events: JobEvent[] = [];
  const next = () => afterSeq + events.length + 1;
  if (!contents) return [{ seq: next(), type: "done", run, answerKept: false }];
  // The watcher may have a part of the text already: this one begins it anew.
  if (afterSeq > 0) events.push({ seq: next(), type: "status", status: "running", attempt: run.attempts.length });
  const delta = deltaOf(contents);
  if (delta) events.push({ seq: next(), type: "delta", ...delta });
  const { output, answerCut } = contents;
  const told = answerCut ? { answerCut } : output !== undefined && { output };
  events.push({ seq: next(), type: "done", run, ...told });
  return events;
}

function deltaOf({ content, reasoning, toolCalls }: RunContents) {
  if (content === null && reasoning === null && toolCalls.length === 0) return null;
  return {
    ...(content !== null && { content }),
    ...(reasoning !== null && { reasoning }),
    ...(toolCalls.length > 0 && { toolCalls: toolCalls.map(toolCallDelta) }),
  };
}

function toolCallDelta(call: unknown, index: number): ToolCallDelta {
  const { id, function: called } = isObject(call) ? call : {};
  const { name, arguments: text } = isObject(called) ? called : {};
  return {
    index,
    ...(typeof id === "string" && { id }),
    ...(typeof name === "string" && { name }),
    ...(typeof text === "string" && { arguments: text }),
  };
}
