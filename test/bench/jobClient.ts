import { Agent, type IncomingMessage, request } from "node:http";
import { nowMs } from "./child.ts";
import type { Door } from "./load.ts";

/** Submits jobs and watches them over HTTP, as tRPC's client does, with as little work of its own as can be. */
export class JobClient {
  readonly #door: Door;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1_000 });

  /** `door.url` is that of /v1. */
  constructor(door: Door) {
    this.#door = { ...door, url: door.url.replace(/\/v1$/, "/trpc") };
  }

  async submit(model: string, text: string): Promise<{ runId: string; askedAtMs: number }> {
    const askedAtMs = nowMs();
    const body = Buffer.from(JSON.stringify({ model, messages: [{ role: "user", content: text }] }));
    const headers = { "content-type": "application/json", "content-length": body.length };
    const response = await this.#send("jobs.submit", { method: "POST", headers, body });
    const { result } = JSON.parse(await textOf(response));
    return { runId: result.data.runId, askedAtMs };
  }

  /** Reads the events to the end; resolves with the time to the first of them, ms, and how many there were. */
  async watch(runId: string, lastEventId?: string): Promise<{ firstMs: number; events: number }> {
    const startMs = performance.now();
    const input = encodeURIComponent(JSON.stringify({ runId, ...(lastEventId && { lastEventId }) }));
    const response = await this.#send(`jobs.watch?input=${input}`, { method: "GET", headers: {} });
    let firstMs = Number.NaN;
    let events = 0;
    let tail = "";
    for await (const piece of response) {
      const text = tail + piece;
      const more = text.match(/^data: \{"seq"/gm)?.length ?? 0;
      if (events === 0 && more > 0) firstMs = performance.now() - startMs;
      events += more;
      if (text.includes("serialized-error")) throw new Error(text);
      tail = text.slice(text.lastIndexOf("\n") + 1);
    }
    return { firstMs, events };
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(
    path: string,
    { method, headers, body }: { method: string; headers: Record<string, string | number>; body?: Buffer },
  ): Promise<IncomingMessage> {
    const options = { method, agent: this.#agent, headers: { ...this.#door.headers, ...headers } };
    return new Promise((resolve, reject) => {
      const outgoing = request(`${this.#door.url}/${path}`, options, async (response) => {
        if (response.statusCode === 200) resolve(response);
        else reject(new Error(`HTTP ${response.statusCode}: ${await textOf(response)}`));
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const piece of response) text += piece;
  return text;
}
