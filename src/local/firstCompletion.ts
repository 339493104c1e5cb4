import { EventSourceParserStream } from "eventsource-parser/stream";
import { type Run, RunWithContents, settledStatuses } from "../contract/runs.ts";
import { call, refusal, type Target } from "./api.ts";

export type FirstCompletion = {
  /** Overrides the sample's own model. */
  model?: string;
  variables: Record<string, string>;
  write: (text: string) => void;
  signal?: AbortSignal;
};

/** The run log is written once the stream has ended; waiting for it is bounded by this many looks. */
const looks = 40;
const pauseMs = 50;

/**
 * Streams the sample `greeting` through the OpenAI-compatible door, writing each piece as it comes, and resolves with
 * the run's record. Throws what the server or the stream reports.
 */
export async function firstCompletion(target: Target, options: FirstCompletion): Promise<Run> {
  const { signal = null } = options;
  const response = await fetch(`${target.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${target.secretKey}`, "content-type": "application/json" },
    body: JSON.stringify({
      prompt: { id: "greeting", variables: options.variables },
      ...(options.model && { model: options.model }),
      stream: true,
    }),
    signal,
  });
  if (!response.ok || !response.body) throw await refusal(response);
  const runId = response.headers.get("x-weir-run-id") ?? "";
  const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  let complete = false;
  for await (const { data } of events) {
    complete = data === "[DONE]";
    if (complete) break;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(String(chunk.error.message));
    const delta = chunk.choices?.[0]?.delta ?? {};
    options.write(delta.reasoning ?? delta.reasoning_content ?? "");
    options.write(delta.content ?? "");
  }
  if (!complete) throw new Error("the stream was cut");
  return settledRun(target, runId);
}

async function settledRun(target: Target, id: string): Promise<Run> {
  for (let look = 1; ; look++) {
    const { run } = await call(target, { path: "runs.get", type: "query", output: RunWithContents }, { id });
    const settled = settledStatuses.some((status) => status === run.status);
    if (settled || look === looks) return run;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** The run in one line: what it used, how fast it was, what it cost. */
export function runLine(run: Run): string {
  const mark = run.usageSource === "estimated" ? "about " : "";
  return [
    run.id,
    run.status,
    run.usage ? `${mark}${run.usage.promptTokens} + ${run.usage.completionTokens} tokens` : "tokens unknown",
    run.timings.firstTokenMs === null ? null : `first token ${run.timings.firstTokenMs} ms`,
    run.timings.totalMs === null ? null : `total ${run.timings.totalMs} ms`,
    run.cost ? `cost ${(run.cost.micros / 1_000_000).toFixed(6)} ${run.cost.currency}` : "cost unknown",
    run.simulated ? "simulated" : null,
  ]
    .filter((part) => part !== null)
    .join(", ");
}
