import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import type { SinkMode } from "./hookPlan.ts";

/** A message as its receiver has seen it, over all its attempts. */
export type Received = {
  id: string;
  runId: string;
  type: string;
  attempts: number;
  /** Whether the receiver took it, whatever its sender was told. */
  taken: boolean;
};

export interface Sink extends AsyncDisposable {
  url: string;
  /** Messages by their id. */
  received: ReadonlyMap<string, Received>;
  /** When it has said that it is gone, ms since the epoch. */
  goneAtMs: readonly number[];
  /** When it was called, ms since the epoch. */
  calledAtMs: readonly number[];
  /** What went against the protocol. */
  faults: readonly string[];
  /** Signs what it gets. */
  secret: string;
}

const lateMs = 1_500;

/** A receiver of messages, which takes each in one of many ways; after so many messages it is gone. */
export async function startSink(modes: Iterator<SinkMode>, goneAfter = Number.POSITIVE_INFINITY): Promise<Sink> {
  const received = new Map<string, Received>();
  const [goneAtMs, calledAtMs, faults]: [number[], number[], string[]] = [[], [], []];

  function note(request: IncomingMessage, body: string): Received {
    const headers = request.headers as Record<string, string>;
    const id = headers["webhook-id"] ?? "";
    try {
      new Webhook(sink.secret).verify(body, headers);
    } catch (thrown) {
      faults.push(`${id}: a receiver cannot verify it: ${String(thrown)}`);
    }
    const { type, data } = JSON.parse(body) as { type: string; data: { runId: string } };
    const known = received.get(id) ?? { id, runId: data.runId, type, attempts: 0, taken: false };
    if (known.runId !== data.runId || known.type !== type) faults.push(`${id}: two messages have this id`);
    known.attempts += 1;
    received.set(id, known);
    return known;
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    calledAtMs.push(Date.now());
    if (received.size >= goneAfter) {
      response.writeHead(410).end();
      goneAtMs.push(Date.now());
      return;
    }
    const message = note(request, Buffer.concat(pieces).toString());
    const mode = message.attempts === 1 ? (modes.next().value as SinkMode) : "takes";
    if (mode === "stalls") return;
    if (mode === "fails") return void response.writeHead(500).end("not now");
    message.taken = true;
    if (mode === "takes and breaks") return void request.socket.resetAndDestroy();
    if (mode === "takes late") await new Promise((resolve) => setTimeout(resolve, lateMs));
    response.writeHead(204).end();
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 });
  await once(server, "listening");
  const sink: Sink = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/told`,
    received,
    goneAtMs,
    calledAtMs,
    faults,
    secret: "",
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
  return sink;
}
