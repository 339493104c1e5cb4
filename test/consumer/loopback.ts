import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/** A request with its body as it was sent, byte for byte: that is what a signature is made over. */
export type Received = { method: string; path: string; headers: IncomingHttpHeaders; body: Uint8Array };
export type Answer = { status: number; json?: unknown };

/** A server on a free port of this machine; disposing closes it and its connections. */
export async function listen(
  answer: (request: Received) => Promise<Answer>,
): Promise<AsyncDisposable & { url: string }> {
  const server = createServer(async (request, response) => {
    const parts: Uint8Array[] = [];
    for await (const part of request) parts.push(part as Uint8Array);
    const { method = "", url: path = "", headers } = request;
    const { status, json } = await answer({ method, path, headers, body: Buffer.concat(parts) }).catch(() => ({
      status: 500,
      json: undefined,
    }));
    response.writeHead(status, { "content-type": "application/json" }).end(json && JSON.stringify(json));
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
