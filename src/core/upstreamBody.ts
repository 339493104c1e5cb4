import type { JsonObject } from "../contract/chat.ts";
import type { Answer } from "./answer.ts";
import { readBytes } from "./boundedBody.ts";
import { AppError } from "./errors.ts";
import { isObject } from "./json.ts";
import { bodyError, errorIn } from "./upstreamErrors.ts";

/** The body of an answer that calls itself a stream; anything else (an HTML page, JSON) is not passed on as one. */
export async function streamOf(response: Response): Promise<ReadableStream<Uint8Array>> {
  const type = response.headers.get("content-type") ?? "";
  if (response.body && /^text\/event-stream\b/i.test(type)) return response.body;
  await response.body?.cancel().catch(() => {});
  throw new AppError("upstream_error", "The upstream did not answer with an event stream.");
}

/** Reads a whole completion into `answer`; an error object in place of one is thrown. */
export function readCompletion(text: string, answer: Answer, secrets: readonly string[]): JsonObject {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new AppError("upstream_error", "The upstream's answer is not JSON.", { cause });
  }
  if (isObject(body) && errorIn(body) !== undefined) throw bodyError(body, secrets);
  const choices = isObject(body) && Array.isArray(body["choices"]) ? body["choices"] : [];
  if (
    !isObject(body) ||
    choices.length === 0 ||
    !choices.every((choice) => isObject(choice) && isObject(choice["message"]))
  )
    throw new AppError("upstream_error", "The upstream's answer is not a completion.");
  answer.add(body);
  return body;
}

/** A body as text, refused past `maxBytes`; one that breaks off is an `upstream_error`. */
export async function readText(response: Response, maxBytes: number): Promise<string> {
  const bytes = await readBytes(response, maxBytes).catch((cause: unknown) => {
    throw new AppError("upstream_error", "The upstream's answer broke off.", { cause, details: { transient: true } });
  });
  if (!bytes) throw new AppError("upstream_error", `The upstream's answer is longer than ${maxBytes} bytes.`);
  return utf8.decode(bytes);
}

const utf8 = new TextDecoder();
