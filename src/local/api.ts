import * as z from "zod";
import { ErrorData, ErrorEnvelope } from "../contract/errors.ts";

export type Target = { url: string; secretKey: string };

/** The server's refusal of one call; `code` is weir's own when it gave one. */
export class CallError extends Error {
  override readonly name = "CallError";
  readonly code: string | null;
  constructor(message: string, code: string | null) {
    super(message);
    this.code = code;
  }
}

const Answer = z.union([
  z.object({ result: z.object({ data: z.unknown() }) }),
  z.object({ error: z.object({ message: z.string(), data: z.object({ weir: ErrorData.optional() }) }) }),
]);

/** Calls one tRPC procedure of a running server and checks what comes back. */
export async function call<T extends z.ZodType>(
  target: Target,
  procedure: { path: string; type: "query" | "mutation"; output: T },
  input: unknown,
): Promise<z.output<T>> {
  const headers = { authorization: `Bearer ${target.secretKey}`, "content-type": "application/json" };
  const url = `${target.url}/trpc/${procedure.path}`;
  const response =
    procedure.type === "query"
      ? await fetch(`${url}?input=${encodeURIComponent(JSON.stringify(input))}`, { headers })
      : await fetch(url, { method: "POST", headers, body: JSON.stringify(input) });
  const answer = parsed(await response.text());
  if (!answer) throw new CallError(`${procedure.path}: HTTP ${response.status} without an answer of weir's`, null);
  if ("error" in answer)
    throw new CallError(`${procedure.path}: ${answer.error.message}`, answer.error.data.weir?.code ?? null);
  return procedure.output.parse(answer.result.data);
}

function parsed(text: string): z.output<typeof Answer> | null {
  try {
    return Answer.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** A refusal of the OpenAI door as an error. */
export async function refusal(response: Response): Promise<CallError> {
  const text = await response.text();
  try {
    const { error } = ErrorEnvelope.parse(JSON.parse(text));
    return new CallError(`HTTP ${response.status}: ${error.message}`, error.code);
  } catch {
    return new CallError(`HTTP ${response.status}: ${text.slice(0, 200)}`, null);
  }
}
