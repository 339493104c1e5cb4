import type { Script } from "./plan.ts";

/** The choices' deltas of the call number `call` of a job, in order: a text tells which call it is of. */
export function deltasOf({ kind, chunks }: Script, tag: string, call: number): Record<string, unknown>[] {
  // Beyond ASCII too, so that bytes are split inside characters.
  const words = Array.from({ length: chunks }, (_, at) => `${tag}.${call}.${at} 字 `);
  if (kind === "text") return words.map((content) => ({ content }));
  if (kind === "reasoning") {
    const half = Math.ceil(chunks / 2);
    return words.map((word, at) => (at < half ? { reasoning_content: word } : { content: word }));
  }
  const begin = (index: number) => ({ index, id: `call_${tag}_${call}_${index}`, type: "function" });
  const calls = words.map((word, at) => {
    const index = at % 2;
    const head = at < 2 ? { ...begin(index), function: { name: `tool${index}`, arguments: word } } : null;
    return { tool_calls: [head ?? { index, function: { arguments: word } }] };
  });
  return [{ role: "assistant", content: null }, ...calls];
}

export type Told = { content: string; reasoning: string; toolCalls: string };

/** What the first deltas add up to. */
export function toldBy(deltas: readonly Record<string, unknown>[]): Told {
  const calls: string[] = [];
  let content = "";
  let reasoning = "";
  for (const delta of deltas) {
    content += delta["content"] ?? "";
    reasoning += delta["reasoning_content"] ?? "";
    for (const { index, function: called } of (delta["tool_calls"] ?? []) as {
      index: number;
      function: { arguments: string };
    }[])
      calls[index] = (calls[index] ?? "") + called.arguments;
  }
  return { content, reasoning, toolCalls: calls.join("|") };
}
