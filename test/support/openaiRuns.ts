import { createParser } from "eventsource-parser";
import type { RunObject } from "../../src/contract/openaiRuns.ts";
import { callWeir, chat } from "./call.ts";
import type { TestKey } from "./projects.ts";

type Secret = Pick<TestKey, "secret">;

/** A server-sent event as a client sees it; `data` is parsed unless it is `[DONE]`. */
export type RunEvent = { id: number; event: string | undefined; data: RunChunk | "[DONE]" };

export type RunChunk = {
  id: string;
  object: string;
  created: number;
  model: string;
  choices: {
    delta: { role?: string; content?: string; reasoning?: string; tool_calls?: unknown[] };
    finish_reason: string | null;
  }[];
  usage?: Record<string, unknown>;
  restart?: { attempt: number };
  status?: string;
  error?: { message: string; type: string; param: string | null; code: string };
};

/** Submits a job at the OpenAI door and returns its answer, whatever that is. */
export async function background(
  { secret }: Secret,
  body: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): Promise<Response> {
  const { response, settled } = await chat(secret, { background: true, ...body }, { headers });
  if (!body["stream"]) await settled();
  return response;
}

/** The id of a job that was accepted. */
export async function accepted(key: Secret, body: Record<string, unknown> = {}): Promise<string> {
  const response = await background(key, body);
  if (response.status !== 202) throw new Error(await response.text());
  return ((await response.json()) as RunObject).id;
}

export async function getRun(key: Secret, runId: string): Promise<RunObject> {
  const { response } = await callWeir(`/v1/runs/${runId}`, { secret: key.secret });
  if (response.status !== 200) throw new Error(await response.text());
  return (await response.json()) as RunObject;
}

export type Reading = AsyncDisposable & {
  response: Response;
  /** The next event; null at the end. */
  next: () => Promise<RunEvent | null>;
  rest: () => Promise<RunEvent[]>;
  /** Comments so far. */
  comments: string[];
};

/** Follows a run's events as an EventSource would. */
export async function follow(
  { secret }: Secret,
  runId: string,
  { lastEventId, query = "" }: { lastEventId?: number; query?: string } = {},
): Promise<Reading> {
  const headers: Record<string, string> = lastEventId === undefined ? {} : { "last-event-id": String(lastEventId) };
  const { response } = await callWeir(`/v1/runs/${runId}/events${query}`, { secret, headers });
  return reading(response);
}

/** Reads a stream of events; what is left of it is cancelled in the end. */
export function reading(response: Response): Reading {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const events: RunEvent[] = [];
  const comments: string[] = [];
  let ended = false;
  const parser = createParser({
    onEvent: ({ id, event, data }) =>
      events.push({ id: Number(id), event, data: data === "[DONE]" ? data : JSON.parse(data) }),
    onComment: (comment) => comments.push(comment),
  });

  async function next(): Promise<RunEvent | null> {
    while (events.length === 0 && !ended) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      ended ||= done;
      if (value) parser.feed(value);
    }
    return events.shift() ?? null;
  }

  return {
    response,
    next,
    comments,
    async rest() {
      const rest: RunEvent[] = [];
      for (let event = await next(); event; event = await next()) rest.push(event);
      return rest;
    },
    async [Symbol.asyncDispose]() {
      await reader?.cancel().catch(() => {});
    },
  };
}

/** What a client that drops its text at each `restart` holds in the end. */
export function contentOf(events: readonly RunEvent[], before = ""): string {
  let text = before;
  for (const { event, data } of events) {
    if (event === "restart") text = "";
    else if (data !== "[DONE]") text += data.choices?.[0]?.delta.content ?? "";
  }
  return text;
}
