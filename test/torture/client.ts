import { createParser } from "eventsource-parser";
import type { JobEvent, JobTicket } from "../../src/contract/jobs.ts";

export type Client = {
  /** One call; rejects with a Refused when weir has answered, else as the connection broke. */
  call: <Data>(path: string, body: unknown) => Promise<Data>;
  /**
   * The events of a job after the one numbered so, as they come. Ends with `done`; rejects when the connection breaks.
   * Returning early leaves the connection.
   */
  watch: (runId: string, afterSeq: number) => AsyncGenerator<JobEvent, void>;
};

/** weir's answer was an error. */
export class Refused extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    super(`${status} ${text.slice(0, 300)}`);
    this.status = status;
  }

  /** Whether the same may work later. */
  get passing(): boolean {
    return this.status >= 500 || this.status === 429;
  }
}

export function clientOf({ url, secretKey }: { url: string; secretKey: string }, signal: AbortSignal): Client {
  const headers = { authorization: `Bearer ${secretKey}`, "content-type": "application/json" };

  async function* watch(runId: string, afterSeq: number): AsyncGenerator<JobEvent, void> {
    const leave = new AbortController();
    const input = { runId, ...(afterSeq > 0 && { lastEventId: String(afterSeq) }) };
    try {
      const response = await fetch(`${url}/trpc/jobs.watch?input=${encodeURIComponent(JSON.stringify(input))}`, {
        headers,
        signal: AbortSignal.any([signal, leave.signal]),
      });
      if (!response.ok || !response.body) throw new Refused(response.status, await response.text());
      yield* eventsOf(response.body);
    } finally {
      leave.abort();
    }
  }

  return {
    async call<Data>(path: string, body: unknown) {
      const response = await fetch(`${url}/trpc/${path}`, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
        signal: AbortSignal.any([signal, AbortSignal.timeout(30_000)]),
      });
      const text = await response.text();
      if (!response.ok) throw new Refused(response.status, text);
      return JSON.parse(text).result.data as Data;
    },
    watch,
  };
}

async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<JobEvent, void> {
  const arrived: JobEvent[] = [];
  let done = false;
  const parser = createParser({
    onEvent({ event, data, id }) {
      if (event === "serialized-error") throw new Refused(500, data);
      if (event !== undefined) return;
      const told = JSON.parse(data) as JobEvent;
      if (id !== String(told.seq)) throw new Error(`event ${told.seq} has the id ${id}`);
      arrived.push(told);
      done ||= told.type === "done";
    },
  });
  const decoder = new TextDecoder();
  for await (const piece of body) {
    parser.feed(decoder.decode(piece, { stream: true }));
    yield* arrived.splice(0);
    if (done) return;
  }
  throw new Error("the stream of events ended before its end");
}

export type Accepted = Pick<JobTicket, "runId">;

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}

/** Does something until weir answers it, whatever happens to weir meanwhile. */
export async function insist<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let waitMs = 50; ; waitMs = Math.min(1_000, waitMs * 2)) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (thrown) {
      if (thrown instanceof Refused && !thrown.passing) throw thrown;
      // Apart from each other, as hundreds may be waiting.
      await pause(waitMs * (0.5 + Math.random()));
    }
  }
}
