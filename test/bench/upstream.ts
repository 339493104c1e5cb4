import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { completion, firstEvent, lastEvents, longToken, token } from "./answers.ts";
import { nowMs, serveCalls } from "./child.ts";

/*
 * The bench's upstream, a process of its own. The model's name says how it answers: `paced-100x10` (100 tokens, 10 ms
 * apart), `burst-300` (at once), `long-16` (megabytes, as fast as they are taken), `json`.
 */

type Asked = { model: string; messages: { content: string }[]; stream_options?: { include_usage?: boolean } };

/** When the other side closed an answer before its end, by the text of its first message. */
const closedAtMs = new Map<string, number>();
/** When a call arrived, by the text of its first message. */
const arrivedAtMs = new Map<string, number>();
let open = 0;
let poured = 0;

const server = createServer(async (request, response) => {
  const atMs = nowMs();
  const asked = await bodyOf(request);
  arrivedAtMs.set(asked.messages[0]?.content ?? "", atMs);
  if (asked.model === "json") {
    response.writeHead(200, { "content-type": "application/json", "content-length": completion.length });
    response.end(completion);
    return;
  }
  open++;
  response.once("close", () => {
    open--;
    if (!response.writableFinished) closedAtMs.set(asked.messages[0]?.content ?? "", nowMs());
  });
  response.writeHead(200, { "content-type": "text/event-stream" });
  stream(response, asked);
});

function stream(response: ServerResponse, { model, stream_options }: Asked): void {
  const [, kind = "", first = 0, second = 0] = /^(\w+)-(\d+)(?:x(\d+))?$/.exec(model) ?? [];
  const finish = lastEvents(stream_options?.include_usage === true);
  if (kind === "paced") pace(response, { count: Number(first), everyMs: Number(second), finish });
  else if (kind === "burst") burst(response, Number(first), finish);
  else if (kind === "long") pour(response, Number(first) * 1024 * 1024, finish);
  else response.destroy(new Error(`no such model: ${model}`));
}

function pace(response: ServerResponse, plan: { count: number; everyMs: number; finish: Buffer[] }): void {
  const startMs = performance.now();
  let sent = 0;
  const next = () => {
    if (response.destroyed) return;
    // By the schedule, not by the last one: a late token does not delay those after it.
    const due = Math.min(plan.count, Math.floor((performance.now() - startMs) / plan.everyMs) + 1);
    while (sent < due) response.write(sent++ === 0 ? firstEvent : token[sent % token.length]);
    if (sent < plan.count) setTimeout(next, Math.max(0, startMs + sent * plan.everyMs - performance.now()));
    else {
      for (const event of plan.finish) response.write(event);
      response.end();
    }
  };
  next();
}

/** Each event is an HTTP chunk of its own, but all leave in one write. */
function burst(response: ServerResponse, count: number, finish: Buffer[]): void {
  const events = [firstEvent, ...Array.from({ length: count - 1 }, (_, at) => token[at % token.length] ?? firstEvent)];
  response.flushHeaders();
  response.socket?.write(Buffer.concat([...events, ...finish].flatMap(httpChunk)));
  response.end();
}

function httpChunk(event: Buffer): Buffer[] {
  return [Buffer.from(`${event.length.toString(16)}\r\n`), event, Buffer.from("\r\n")];
}

/** As much as the other side takes, and no more than the sockets hold beyond that. */
function pour(response: ServerResponse, bytes: number, finish: Buffer[]): void {
  const batch = Buffer.concat(Array.from({ length: 16 }, () => longToken));
  let sent = 0;
  const more = () => {
    while (sent < bytes && !response.destroyed) {
      sent += batch.length;
      poured += batch.length;
      if (!response.write(batch)) return void response.once("drain", more);
    }
    if (response.destroyed) return;
    for (const event of finish) response.write(event);
    response.end();
  };
  response.write(firstEvent);
  more();
}

async function bodyOf(request: IncomingMessage): Promise<Asked> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces).toString());
}

const api = {
  /** Resolves with the base URL, once it listens. */
  listen: () =>
    new Promise<string>((resolve) => {
      server.keepAliveTimeout = 60_000;
      server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, () =>
        resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`),
      );
    }),
  openStreams: () => open,
  /** What long answers have handed to their sockets so far. */
  pouredBytes: () => poured,
  arrivals: () => {
    const arrivals = Object.fromEntries(arrivedAtMs);
    arrivedAtMs.clear();
    return arrivals;
  },
  closings: () => {
    const closings = Object.fromEntries(closedAtMs);
    closedAtMs.clear();
    return closings;
  },
};
export type UpstreamApi = typeof api;

serveCalls(api);
