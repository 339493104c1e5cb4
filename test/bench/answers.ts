/** What the bench's upstream says: frames of about 300 bytes, as models' servers send them. */

const base = {
  id: "chatcmpl-7f3c1f0d9b8e4a52a6c40b1d2e9f8a37",
  object: "chat.completion.chunk",
  created: 1_790_000_000,
  model: "bench-model-2026-11-large-instruct",
  service_tier: "default",
  system_fingerprint: "fp_a1b2c3d4e5",
};
const usage = { prompt_tokens: 24, completion_tokens: 300, total_tokens: 324 };

function event(data: unknown): Buffer {
  return Buffer.from(`data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);
}

function delta(delta: Record<string, unknown>, finish_reason: string | null): Buffer {
  return event({ ...base, choices: [{ index: 0, delta, logprobs: null, finish_reason }] });
}

/** A token; some are Chinese. */
export const token: readonly Buffer[] = [" weir", " 水坝", " stream", " through"].map((content) =>
  delta({ content }, null),
);

/** A long token, for answers of many megabytes. */
export const longToken: Buffer = delta(
  { content: " The stream runs through the weir, which measures it.".repeat(16) },
  null,
);

export const firstEvent: Buffer = delta({ role: "assistant", content: "A" }, null);

/** Finish, usage if it was asked for, `[DONE]`. */
export function lastEvents(withUsage: boolean): Buffer[] {
  return [delta({}, "stop"), ...(withUsage ? [event({ ...base, choices: [], usage })] : []), event("[DONE]")];
}

/** A whole answer of about 1,300 bytes of text. */
export const completion: Buffer = Buffer.from(
  JSON.stringify({
    ...base,
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "The stream runs through the weir, which measures it. ".repeat(25) },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage,
  }),
);
