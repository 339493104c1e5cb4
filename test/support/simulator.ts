import { createParser } from "eventsource-parser";
import { simulatorFetch } from "../../src/upstream/simulator.ts";

/** An event or an answer, read as loosely as a test needs. */
// biome-ignore lint/suspicious/noExplicitAny: a test says in its expectations what shape it wants
export type Loose = any;

export type Ask = { model: string; prompt?: string; body?: Record<string, unknown>; signal?: AbortSignal };

/** A request to the simulator, as fast as it can answer. */
export function simRequest({ model, prompt = "Hello", body = {}, signal }: Ask): Request {
  return new Request("https://sim.example.com/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", "x-sim-pace-ms": "0" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: prompt }], ...body }),
    ...(signal && { signal }),
  });
}

export function ask(request: Ask): Promise<Response> {
  return simulatorFetch(simRequest(request));
}

export async function askJson(request: Ask): Promise<Loose> {
  return (await ask(request)).json();
}

export type Streamed = {
  /** Parsed data events before `[DONE]`, in order. */
  chunks: Loose[];
  /** Data of every event, as sent. */
  data: string[];
  comments: string[];
  done: boolean;
  content: string;
  reasoning: string;
  finishReason: string | null;
};

/** A streamed answer, read to its end and folded (first choice). */
export async function askStream(request: Ask): Promise<Streamed> {
  const response = await ask({ ...request, body: { stream: true, ...request.body } });
  return foldStream(await response.text());
}

export function foldStream(text: string): Streamed {
  const data: string[] = [];
  const comments: string[] = [];
  const parser = createParser({
    onEvent: (event) => data.push(event.data),
    onComment: (comment) => comments.push(comment),
  });
  parser.feed(text);
  const end = data.indexOf("[DONE]");
  const chunks = (end < 0 ? data : data.slice(0, end)).map(parsed);
  const first = chunks.map((chunk) => chunk?.choices?.find((choice: Loose) => choice.index === 0)).filter(Boolean);
  return {
    chunks,
    data,
    comments,
    done: end >= 0,
    content: first.map((choice) => choice.delta.content ?? "").join(""),
    reasoning: first.map((choice) => choice.delta.reasoning ?? "").join(""),
    finishReason: first.findLast((choice) => choice.finish_reason !== null)?.finish_reason ?? null,
  };
}

function parsed(text: string): Loose {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The pieces a body arrives in. */
export async function piecesOf(response: Response): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of response.body ?? []) pieces.push(piece as Uint8Array);
  return pieces;
}
