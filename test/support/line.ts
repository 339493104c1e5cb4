import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Line extends AsyncDisposable {
  url: string;
  /** Breaks every connection that is open now. */
  cut: () => void;
  /** From here on connections lead there; null: they are refused. */
  target: (url: string | null) => void;
}

/** A way to a server that can be cut, as a network can. */
export async function startLine(url: string): Promise<Line> {
  let target: string | null = url;
  const open = new Set<Socket>();
  const server = createServer((client) => {
    if (target === null) return void client.destroy();
    const { hostname, port } = new URL(target);
    const far = connect(Number(port), hostname);
    for (const [socket, other] of [
      [client, far],
      [far, client],
    ] as const) {
      open.add(socket);
      socket.pipe(other);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        open.delete(socket);
        other.destroy();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => {
    for (const socket of open) socket.resetAndDestroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    target: (next) => {
      target = next;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      cut();
    },
  };
}
