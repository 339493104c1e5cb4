import type { CompletionResult, CreateCompletionInput } from "../contract/completions.ts";
import { type CompletionRequest, fromCreateInput } from "./completionRequest.ts";
import { CompletionRun, type CompletionRunPorts, type WholeAnswer } from "./completionRun.ts";
import { type Prepared, type PreparePorts, prepare } from "./prepare.ts";
import type { Principal } from "./principal.ts";

export type CompletionPorts = PreparePorts & CompletionRunPorts;

/** What a relaying door sends on: the upstream's own bytes, and the model that answers where it is known by then. */
export type RelayedAnswer = { runId: string; model: string } & (
  | { kind: "stream"; body: ReadableStream<Uint8Array> }
  | { kind: "whole"; body: string }
);

/**
 * Running a completion: the one way, whichever door asks. Rejects with an AppError whose details carry `runId` once
 * a run is on record.
 */
export function completionUseCases(ports: CompletionPorts) {
  return {
    /** Waits for the whole answer and returns it read; a JSON-schema format returns the parsed `output`. */
    async create(principal: Principal, input: CreateCompletionInput): Promise<CompletionResult> {
      const prepared = await prepare(ports, principal, fromCreateInput(input));
      return result(prepared, await new CompletionRun(ports, principal, prepared).whole());
    },

    /** Relays an answer; a stream's end is recorded when it ends, also when the client has left. */
    async relay(principal: Principal, request: CompletionRequest, clientGone: AbortSignal): Promise<RelayedAnswer> {
      const prepared = await prepare(ports, principal, request);
      const run = new CompletionRun(ports, principal, prepared);
      const runId = prepared.start.id;
      if (!request.stream) {
        const { text: body, candidate } = await run.whole();
        return { runId, model: candidate.model, kind: "whole", body };
      }
      const { body, candidate } = await run.stream(clientGone);
      return { runId, model: candidate.model, kind: "stream", body };
    },
  };
}
export type CompletionUseCases = ReturnType<typeof completionUseCases>;

function result(prepared: Prepared, { answer, ended: { cost, output }, candidate }: WholeAnswer): CompletionResult {
  const { start } = prepared;
  return {
    runId: start.id,
    model: answer.model ?? candidate.model,
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
