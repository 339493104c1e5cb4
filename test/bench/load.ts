import { Agent, type IncomingMessage, request } from "node:http";
import { nowMs } from "./child.ts";

export type Door = { url: string; headers: Record<string, string> };

export type LoadPlan = {
  door: Door;
  model: string;
  stream: boolean;
  /** Connections, each kept alive, each with one call at a time. */
  clients: number;
  /** Calls in all. */
  calls: number;
  /** The clients begin this far apart, ms. */
  startEveryMs?: number;
};

export type CallTimes = {
  /** From the request to the first data event; null for an answer that is no stream. */
  firstMs: number | null;
  totalMs: number;
  /** Between one event's arrival and the next's; events that came together have none between them. */
  gapsMs: number[];
  events: number;
};

export type LoadResult = { calls: CallTimes[]; elapsedMs: number };

/** Makes the calls and times them; rejects when an answer is not a whole one. */
export async function load(plan: LoadPlan): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: plan.clients });
  const calls: CallTimes[] = [];
  let begun = 0;
  const startMs = nowMs();
  const client = async (at: number) => {
    if (plan.startEveryMs) await new Promise((resolve) => setTimeout(resolve, at * (plan.startEveryMs ?? 0)));
    while (begun < plan.calls) calls.push(await oneCall(plan, agent, begun++));
  };
  try {
    await Promise.all(Array.from({ length: plan.clients }, (_, at) => client(at)));
    return { calls, elapsedMs: nowMs() - startMs };
  } finally {
    agent.destroy();
  }
}

async function oneCall({ door, model, stream }: LoadPlan, agent: Agent, at: number): Promise<CallTimes> {
  const startMs = performance.now();
  const response = await post(door, { model, stream, text: `call ${at}` }, agent);
  const times: CallTimes = { firstMs: null, totalMs: 0, gapsMs: [], events: 0 };
  let lastMs = 0;
  let tail = "";
  let bytes = 0;
  await new Promise<void>((resolve, reject) => {
    response.on("data", (piece: Buffer) => {
      bytes += piece.length;
      if (!stream) return;
      const now = performance.now();
      const events = blankLines(piece);
      if (times.firstMs === null && piece.includes("data:")) times.firstMs = now - startMs;
      else if (times.firstMs !== null && events > 0) {
        times.gapsMs.push(now - lastMs);
        for (let more = 1; more < events; more++) times.gapsMs.push(0);
      }
      lastMs = now;
      times.events += events;
      tail = (tail + piece.toString("latin1", Math.max(0, piece.length - 16))).slice(-16);
    });
    response.on("end", resolve);
    response.on("error", reject);
  });
  times.totalMs = performance.now() - startMs;
  if (stream ? !tail.endsWith("data: [DONE]\n\n") : bytes < 1000)
    throw new Error(`the answer of ${door.url} is not whole: ${times.events} events, ${bytes} bytes, …${tail}`);
  return times;
}

function blankLines(piece: Buffer): number {
  let count = 0;
  for (let at = piece.indexOf("\n\n"); at !== -1; at = piece.indexOf("\n\n", at + 2)) count++;
  return count;
}

export type Asked = { model: string; stream: boolean; text: string };

/** Resolves with the answer once its headers are in; rejects for any status but 200. */
export function post(door: Door, { model, stream, text }: Asked, agent: Agent): Promise<IncomingMessage> {
  const messages = [{ role: "user", content: text }];
  const body = Buffer.from(JSON.stringify({ model, stream, messages }));
  const headers = { ...door.headers, "content-type": "application/json", "content-length": body.length };
  return new Promise((resolve, reject) => {
    const outgoing = request(`${door.url}/chat/completions`, { method: "POST", agent, headers }, (response) => {
      if (response.statusCode === 200) resolve(response);
      else refused(response).then(reject, reject);
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

async function refused(response: IncomingMessage): Promise<Error> {
  let text = "";
  for await (const piece of response) text += piece;
  return new Error(`HTTP ${response.statusCode}: ${text.slice(0, 300)}`);
}
