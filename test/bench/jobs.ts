import { Agent, type IncomingMessage, request } from "node:http";
import { nowMs } from "./child.ts";
import type { Door } from "./load.ts";

export type JobsPlan = {
  /** weir's; its `url` ends in /v1. */
  door: Door;
  model: string;
  jobs: number;
  watchers: number;
  /** The jobs are submitted this far apart, ms; 0: all at once. */
  startEveryMs: number;
  /** How many of the jobs are watched once more after their end, from their fifth event on. */
  resumes: number;
};

export type JobTimes = {
  /** Text of the job, by which the upstream knows it. */
  text: string;
  submittedAtMs: number;
  /** From the submit to its answer. */
  ticketMs: number;
  /** How it ended, as its watchers saw it; the same for all, or `differs`. */
  status: string;
  /** From a reconnect to the first replayed event; null where there was none. */
  resumeMs: number | null;
};

type Watched = { status: string; text: string; firstMs: number };

/** Submits jobs over tRPC and watches each to its end; rejects when a call is refused. */
export async function jobs(plan: JobsPlan): Promise<JobTimes[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  try {
    return await Promise.all(Array.from({ length: plan.jobs }, (_, at) => oneJob(plan, agent, at)));
  } finally {
    agent.destroy();
  }
}

async function oneJob(plan: JobsPlan, agent: Agent, at: number): Promise<JobTimes> {
  const { door, model, watchers, startEveryMs, resumes } = plan;
  await new Promise((resolve) => setTimeout(resolve, at * startEveryMs));
  const text = `job ${at} of ${model} ${nowMs()}`;
  const submittedAtMs = nowMs();
  const runId = await submit(door, { model, messages: [{ role: "user", content: text }] }, agent);
  const ticketMs = nowMs() - submittedAtMs;
  const seen = await Promise.all(Array.from({ length: watchers }, () => watch(door, runId, null, agent)));
  const [first] = seen;
  const same = seen.every((each) => each.status === first?.status && each.text === first.text);
  const resumed = at < resumes ? await watch(door, runId, 5, agent) : null;
  return {
    text,
    submittedAtMs,
    ticketMs,
    status: same ? (first?.status ?? "unwatched") : "differs",
    resumeMs: resumed?.firstMs ?? null,
  };
}

async function submit(door: Door, input: object, agent: Agent): Promise<string> {
  const body = Buffer.from(JSON.stringify(input));
  const headers = { ...door.headers, "content-type": "application/json", "content-length": body.length };
  const response = await send(trpc(door, "jobs.submit"), { method: "POST", headers, agent }, body);
  let text = "";
  for await (const piece of response) text += piece;
  if (response.statusCode !== 200) throw new Error(`jobs.submit: HTTP ${response.statusCode}: ${text.slice(0, 300)}`);
  return JSON.parse(text).result.data.runId;
}

async function watch(door: Door, runId: string, lastEventId: number | null, agent: Agent): Promise<Watched> {
  const startMs = nowMs();
  const input = { runId, ...(lastEventId !== null && { lastEventId: String(lastEventId) }) };
  const url = `${trpc(door, "jobs.watch")}?input=${encodeURIComponent(JSON.stringify(input))}`;
  const response = await send(url, { headers: { ...door.headers, accept: "text/event-stream" }, agent });
  const seen: Watched = { status: "cut", text: "", firstMs: Number.NaN };
  let rest = "";
  for await (const piece of response) {
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) read(seen, block, startMs);
  }
  return seen;
}

/** One server-sent event of a subscription: those with an id are the job's. */
function read(seen: Watched, block: string, startMs: number): void {
  if (!/^id:/m.test(block)) return;
  if (Number.isNaN(seen.firstMs)) seen.firstMs = nowMs() - startMs;
  const event = JSON.parse(/^data: ?(.*)$/m.exec(block)?.[1] ?? "null");
  if (event?.type === "delta") seen.text += event.content ?? "";
  if (event?.type === "done") seen.status = event.run.status;
}

const trpc = (door: Door, procedure: string) => `${door.url.slice(0, -"/v1".length)}/trpc/${procedure}`;

function send(url: string, options: Parameters<typeof request>[1], body?: Buffer): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, options as object, resolve);
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
