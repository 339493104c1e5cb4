import { env } from "cloudflare:workers";
import type { JobEvent, JobTicket } from "../../src/contract/jobs.ts";
import { eventData } from "../../src/core/sse.ts";
import type { JobActor } from "../../src/durable/jobActor.ts";
import { type Answered, answerOf, callWeir } from "./call.ts";
import type { TestKey } from "./projects.ts";

/** Calls a mutation or query of `jobs.*`, whatever it answers. */
export async function callJobs<Data>(
  procedure: "submit" | "result" | "cancel" | "retry",
  { secret, origin }: { secret: string; origin?: string },
  input: Record<string, unknown>,
): Promise<Answered<Data>> {
  const headers = { ...(origin !== undefined && { origin }) };
  const query = `?input=${encodeURIComponent(JSON.stringify(input))}`;
  return answerOf(
    procedure === "result"
      ? await callWeir(`/trpc/jobs.result${query}`, { secret, headers })
      : await callWeir(`/trpc/jobs.${procedure}`, { secret, body: input, headers }),
  );
}

const question = { model: "test-model", messages: [{ role: "user", content: "Hi" }] };

/** Submits a job with one user message and whatever else is given. */
export async function submitJob(
  project: Pick<TestKey, "secret">,
  input: Record<string, unknown> = {},
): Promise<JobTicket> {
  const answer = await callJobs<JobTicket>("submit", project, { ...question, ...input });
  if (answer.error) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

export type Watching = AsyncDisposable & {
  /** The next event; null at the end of the stream. */
  next: () => Promise<JobEvent | null>;
  /** All events that are left. */
  rest: () => Promise<JobEvent[]>;
};

/** Watches a job over server-sent events as an EventSource does: a stream that breaks is taken up after its last id. */
export async function watchJob(
  { secret }: Pick<TestKey, "secret">,
  runId: string,
  lastEventId?: number,
): Promise<Watching> {
  const events: JobEvent[] = [];
  let seen = lastEventId;
  let ended = false;
  let reader = await connect();
  let text = "";

  async function connect(): Promise<ReadableStreamDefaultReader<string> | undefined> {
    const input = { runId, ...(seen !== undefined && { lastEventId: String(seen) }) };
    const path = `/trpc/jobs.watch?input=${encodeURIComponent(JSON.stringify(input))}`;
    const { response } = await callWeir(path, { secret });
    return response.body?.pipeThrough(new TextDecoderStream()).getReader();
  }

  async function more(): Promise<void> {
    const { done, value = "" } = (await reader?.read().catch(() => null)) ?? { done: true };
    text += value;
    const end = text.lastIndexOf("\n\n") + 2;
    if (text.includes("event: serialized-error")) throw new Error(text);
    ended ||= text.includes("event: return");
    for (const data of end < 2 ? [] : eventData(text.slice(0, end))) {
      const body = data === "" ? null : JSON.parse(data);
      if (!body?.seq) continue;
      seen = body.seq;
      events.push(body);
    }
    text = end < 2 ? text : text.slice(end);
    if (!done || ended) return;
    text = "";
    reader = await connect();
  }

  async function next(): Promise<JobEvent | null> {
    while (events.length === 0 && !ended) await more();
    return events.shift() ?? null;
  }

  return {
    next,
    async rest() {
      const rest: JobEvent[] = [];
      for (let event = await next(); event; event = await next()) rest.push(event);
      return rest;
    },
    async [Symbol.asyncDispose]() {
      await reader?.cancel().catch(() => {});
    },
  };
}

/** The job's object. */
export function jobObject(runId: string): DurableObjectStub<JobActor> {
  const actors = env.JOBS as DurableObjectNamespace<JobActor>;
  return actors.get(actors.idFromName(runId));
}

/** The texts that events tell, joined: content after the last attempt began. */
export function textOf(events: readonly JobEvent[]): string {
  let text = "";
  for (const event of events) {
    if (event.type === "status" && event.status === "running") text = "";
    if (event.type === "delta") text += event.content ?? "";
  }
  return text;
}

/** How often a held upstream looks for what the test has sent, ms. */
const lookMs = 2;

/**
 * An upstream whose streams the test writes piece by piece. An object may not wait for a promise of the test's, nor read
 * a stream of its, so each stream is made in the object and looks for what there is to send.
 */
export function heldUpstream() {
  const sent: Uint8Array[] = [];
  let ending: "open" | "closed" | "broken" = "open";
  let cancelled = false;
  return {
    /** An answer that sends all that has been sent, then what comes. */
    answer(): Response {
      let at = 0;
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          while (at >= sent.length && ending === "open" && !cancelled)
            await new Promise((go) => setTimeout(go, lookMs));
          const next = sent[at++];
          if (next) controller.enqueue(next.slice());
          else if (ending === "broken") controller.error(new Error("connection reset"));
          else controller.close();
        },
        cancel() {
          cancelled = true;
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    },
    /** Each text as one chunk. */
    send(...texts: string[]): void {
      for (const text of texts) sent.push(new TextEncoder().encode(text));
    },
    close(): void {
      ending = "closed";
    },
    break(): void {
      ending = "broken";
    },
    /** Whether the one that was reading has stopped it. */
    get cancelled(): boolean {
      return cancelled;
    },
  };
}
