import type { CompletionResult, CreateCompletionInput } from "../contract/completions.ts";
import type { Answer } from "./answer.ts";
import { type CompletionRequest, fromCreateInput } from "./completionRequest.ts";
import { beginRun, type CompletionRunPorts } from "./completionRun.ts";
import { type Prepared, type PreparePorts, prepare } from "./prepare.ts";
import type { Principal } from "./principal.ts";
import type { Ended } from "./runEnd.ts";

export type CompletionPorts = PreparePorts & CompletionRunPorts;

/** What a relaying door sends on: the upstream's own bytes. */
export type RelayedAnswer =
  | { runId: string; kind: "stream"; body: ReadableStream<Uint8Array> }
  | { runId: string; kind: "whole"; body: string };

/**
 * Running a completion: the one way, whichever door asks. Rejects with an AppError whose details carry `runId` once
 * a run is on record.
 */
export function completionUseCases(ports: CompletionPorts) {
  return {
    /** Waits for the whole answer and returns it read; a JSON-schema format returns the parsed `output`. */
    async create(principal: Principal, input: CreateCompletionInput): Promise<CompletionResult> {
      const prepared = await prepare(ports, principal, fromCreateInput(input));
      const call = beginRun(ports, principal, prepared);
      const { answer, ended } = await call.whole();
      return result(prepared, answer, ended);
    },

    /** Relays an answer; a stream's end is recorded when it ends, also when the client has left. */
    async relay(principal: Principal, request: CompletionRequest, clientGone: AbortSignal): Promise<RelayedAnswer> {
      const prepared = await prepare(ports, principal, request);
      const call = beginRun(ports, principal, prepared);
      const runId = prepared.start.id;
      if (request.stream) return { runId, kind: "stream", body: await call.stream(clientGone) };
      return { runId, kind: "whole", body: (await call.whole()).text };
    },
  };
}
export type CompletionUseCases = ReturnType<typeof completionUseCases>;

function result(prepared: Prepared, answer: Answer, { cost, output }: Ended): CompletionResult {
  const { start } = prepared;
  return {
    runId: start.id,
    model: answer.model ?? start.modelAsked,
    content: answer.content,
    reasoning: answer.reasoning,
    toolCalls: answer.toolCalls.map(({ id, function: called }) => ({ id, ...called })),
    finishReason: answer.finishReason,
    usage: answer.usage,
    usageSource: answer.usage ? "upstream" : "unknown",
    cost,
    ...(output?.valid && { output: output.value }),
    ...(output && !output.valid && { outputInvalid: { message: output.message, path: output.path } }),
    template: start.template && {
      name: start.template.name,
      version: start.template.version,
      label: start.template.label,
    },
  };
}
