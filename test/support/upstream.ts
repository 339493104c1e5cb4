import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export type RecordedRequest = {
  method: string;
  /** With the query. */
  path: string;
  headers: IncomingHttpHeaders;
  /** As sent. */
  text: string;
  /** Parsed when it is JSON, else undefined. */
  json: unknown;
};

export type Exchange = {
  request: RecordedRequest;
  /** For an ordinary answer. */
  response: ServerResponse;
  /** For bytes past HTTP's rules: what is written here goes out as it is. */
  socket: Socket;
  /** Resolves when the other side closes the connection before the answer has been ended here. */
  closedByPeer: Promise<void>;
};

export interface Upstream extends AsyncDisposable {
  /** For UPSTREAM_BASE_URL. */
  url: string;
  /** Every request so far, oldest first. */
  requests: RecordedRequest[];
  /** The exchange of the nth request (from 0), as soon as it has begun. */
  exchange: (at: number) => Promise<Exchange>;
}

/** A real HTTP server that answers as the test's handler says. A handler that throws resets the connection. */
export async function startUpstream(handler: (exchange: Exchange) => unknown): Promise<Upstream> {
  const requests: RecordedRequest[] = [];
  const slots: PromiseWithResolvers<Exchange>[] = [];
  const slot = (at: number) => (slots[at] ??= Promise.withResolvers<Exchange>());

  const server = createServer(async (message, response) => {
    const closedByPeer = peerCloses(message.socket, response);
    try {
      const exchange = { request: await recorded(message), response, socket: message.socket, closedByPeer };
      slot(requests.push(exchange.request) - 1).resolve(exchange);
      await handler(exchange);
    } catch {
      message.socket.resetAndDestroy();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    exchange: (at) => slot(at).promise,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Data of one server-sent event; objects as JSON. Begins the answer with the headers of a stream where none went out. */
export function sendEvent(response: ServerResponse, data: unknown): void {
  if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(`data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);
}

/** A `chat.completion.chunk` with one choice. */
export function chunk(delta: Record<string, unknown>, finishReason: string | null = null): Record<string, unknown> {
  return {
    id: "chatcmpl-test",
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model: "test-model",
    choices: [{ index: 0, delta, finish_reason: finishReason }],
  };
}

/** A whole well-formed stream: one chunk per text, finish, usage, `[DONE]`. */
export function sendStream(response: ServerResponse, texts: readonly string[]): void {
  for (const content of texts) sendEvent(response, chunk({ content }));
  sendEvent(response, chunk({}, "stop"));
  const usage = { prompt_tokens: 1, completion_tokens: texts.length, total_tokens: texts.length + 1 };
  sendEvent(response, { ...chunk({}), choices: [], usage });
  sendEvent(response, "[DONE]");
  response.end();
}

async function recorded(message: IncomingMessage): Promise<RecordedRequest> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece);
  const text = Buffer.concat(pieces).toString("utf8");
  const { method = "", url = "", headers } = message;
  return { method, path: url, headers, text, json: parsedJson(text) };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** How the exchange under way on a connection stops waiting for its end. */
const waiting = new WeakMap<Socket, () => void>();

function peerCloses(socket: Socket, response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    // Ended or destroyed from this side, a connection's close says nothing about the other.
    const closed = () => {
      if (!response.writableEnded && !socket.writableEnded) resolve();
    };
    // A connection that goes on to another exchange has outlived the one before.
    waiting.get(socket)?.();
    // Before Node's own listener, which ends the socket in turn.
    socket.prependOnceListener("end", closed);
    socket.prependOnceListener("error", closed);
    waiting.set(socket, () => {
      socket.off("end", closed);
      socket.off("error", closed);
    });
  });
}
