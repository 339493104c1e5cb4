import type { Counted, Wire } from "./answer.ts";
import { silence, sleep } from "./clock.ts";
import { messageText, type SimCall } from "./request.ts";
import type { Beat } from "./timeline.ts";
import { countTokens, type TokenLogprob } from "./tokens.ts";

export const systemFingerprint = "weir-simulator";

/** The fields every object of one answer begins with. */
export function headOf(call: SimCall, object: "chat.completion" | "chat.completion.chunk") {
  return {
    id: call.id,
    object,
    created: Math.floor(Date.now() / 1000),
    model: call.body.model,
    system_fingerprint: systemFingerprint,
  };
}

/** Usage objects in the order they are sent, the last one right; none when the wire leaves them out. */
export function usagesOf(answers: Counted[], wire: Wire, call: SimCall): object[] {
  if (wire.usage === "none") return [];
  const reasoning = sum(answers.map((answer) => answer.reasoningTokens));
  const given = wire.usage === "counted" ? null : wire.usage;
  const prompt = given?.promptTokens ?? sum(call.body.messages.map((message) => countTokens(messageText(message))));
  const completion = given?.completionTokens ?? sum(answers.map((answer) => answer.completionTokens));
  const last = usage(prompt, completion, reasoning);
  return wire.usageTwice ? [usage(prompt, 0, 0), last] : [last];
}

function usage(prompt: number, completion: number, reasoning: number) {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: null,
    ...(reasoning > 0 && { completion_tokens_details: { reasoning_tokens: reasoning } }),
  };
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** The error object an upstream sends in place of a chunk, or under status 200. */
export function errorObject(message: string) {
  return { error: { message, type: "server_error", param: null, code: "simulated" } };
}

type Choice = {
  content: string[];
  reasoning: string[];
  tools: { id: string; name: string; arguments: string }[];
  logprobs: TokenLogprob[];
  finishReason: string;
};

/**
 * The body of a non-streaming answer, once all its time has passed. Faults of a stream take the form they have
 * here: an error object as the body, a body cut in half or broken, silence until the signal aborts.
 */
export async function completionBody(
  beats: Iterable<Beat>,
  { answers, wire, call, signal }: { answers: Counted[]; wire: Wire; call: SimCall; signal: AbortSignal },
): Promise<string> {
  const choices = answers.map(
    (): Choice => ({ content: [], reasoning: [], tools: [], logprobs: [], finishReason: "" }),
  );
  let waitMs = 0;
  let cut = false;
  let malformed = false;
  for (const beat of beats) {
    switch (beat.kind) {
      case "pause":
        waitMs += beat.ms;
        break;
      case "delta": {
        const choice = choices[beat.choice];
        if (choice) fold(choice, beat.delta);
        break;
      }
      case "finish": {
        const choice = choices[beat.choice];
        if (choice) choice.finishReason = beat.reason;
        break;
      }
      case "error":
        await sleep(waitMs, signal);
        return JSON.stringify(errorObject(beat.message));
      case "stall":
        return silence(signal);
      case "reset":
        await sleep(waitMs, signal);
        throw new TypeError("The simulated connection was reset.");
      case "malformed":
        malformed = true;
        break;
      case "cut":
        cut = true;
        break;
      case "comment":
        break;
    }
  }
  await sleep(waitMs, signal);
  const usages = usagesOf(answers, wire, call);
  const text = JSON.stringify({
    ...headOf(call, "chat.completion"),
    choices: choices.map((choice, index) => choiceObject(choice, index, call)),
    ...(usages.length > 0 && { usage: usages.at(-1) }),
  });
  if (cut) return text.slice(0, text.length / 2);
  return malformed ? text.replace('"choices":[', '"choices":[,') : text;
}

function fold(choice: Choice, delta: Extract<Beat, { kind: "delta" }>["delta"]): void {
  switch (delta.kind) {
    case "role":
      return;
    case "content":
      choice.content.push(delta.text);
      if (delta.logprob) choice.logprobs.push(delta.logprob);
      return;
    case "reasoning":
      choice.reasoning.push(delta.text);
      return;
    case "toolStart":
      choice.tools.push({ id: delta.id, name: delta.name, arguments: "" });
      return;
    case "toolArguments": {
      const tool = choice.tools[delta.index];
      if (tool) tool.arguments += delta.text;
      return;
    }
  }
}

function choiceObject(choice: Choice, index: number, call: SimCall) {
  const content = choice.content.join("");
  return {
    logprobs: call.body.logprobs ? { content: choice.logprobs, refusal: null } : null,
    finish_reason: choice.finishReason,
    native_finish_reason: choice.finishReason,
    index,
    message: {
      role: "assistant",
      content: content === "" && choice.tools.length > 0 ? null : content,
      refusal: null,
      ...(choice.reasoning.length > 0 && { [call.body.reasoning_field ?? "reasoning"]: choice.reasoning.join("") }),
      ...(choice.tools.length > 0 && {
        tool_calls: choice.tools.map((tool) => ({
          id: tool.id,
          type: "function",
          function: { name: tool.name, arguments: tool.arguments },
        })),
      }),
    },
  };
}
