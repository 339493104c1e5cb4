import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTRPCClient, httpBatchLink, httpSubscriptionLink, splitLink } from "@trpc/client";
import { EventSource } from "eventsource";
import type { AppRouter } from "../../src/api/trpc/router.ts";
import type { JobEvent } from "../../src/contract/jobs.ts";
import { projectRoot } from "../../src/local/project.ts";
import { type LocalServer, startServer } from "../../src/local/server.ts";
import { workerdPid } from "../bench/cpu.ts";
import { type Line, startLine } from "../support/line.ts";
import { chunk, type Exchange, sendEvent, sendStream, startUpstream, type Upstream } from "../support/upstream.ts";

export type Client = ReturnType<typeof createTRPCClient<AppRouter>>;

/** The started server, on a state that outlives it, behind a network that can be cut and before a scripted upstream. */
export interface JobBench extends AsyncDisposable {
  client: Client;
  /** Where clients find it, however often it is restarted. */
  line: Line;
  upstream: Upstream;
  authorization: string;
  /** From here on the upstream answers so. */
  play: (answer: (exchange: Exchange) => unknown) => void;
  /** Kills the runtime outright. */
  kill: () => Promise<void>;
  /** Ends it in order, as a deployment ends the version before it. */
  stop: () => Promise<void>;
  restart: () => Promise<void>;
}

export async function startJobBench(): Promise<JobBench> {
  await using undo = new AsyncDisposableStack();
  const stateDir = await mkdtemp(join(tmpdir(), "weir-jobs-"));
  undo.defer(() => rm(stateDir, { recursive: true, force: true }));
  let answer: (exchange: Exchange) => unknown = ({ response }) => sendStream(response, ["ok"]);
  const upstream = undo.use(await startUpstream((exchange) => answer(exchange)));
  const env = { UPSTREAM_BASE_URL: upstream.url, UPSTREAM_RETRY_PAUSE_MS: "1", UPSTREAM_CIRCUIT_FAILURES: "1000000" };
  const start = () => startServer({ stateDir, env, buildDir: join(projectRoot, ".weir", "build") });
  let server: LocalServer | null = await start();
  undo.defer(async () => server?.[Symbol.asyncDispose]());
  const line = undo.use(await startLine(server.url));
  const authorization = `Bearer ${server.secretKey}`;
  const client = clientOf(`${line.url}/trpc`, authorization);
  const stop = async () => {
    line.target(null);
    line.cut();
    await server?.[Symbol.asyncDispose]();
    server = null;
  };
  const disposal = undo.move();
  return {
    client,
    line,
    upstream,
    authorization,
    play: (next) => {
      answer = next;
    },
    kill: async () => {
      process.kill(await workerdPid(), "SIGKILL");
      await stop();
    },
    stop,
    restart: async () => {
      server = await start();
      line.target(server.url);
    },
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  };
}

/** tRPC's own client, as a frontend would make it. */
function clientOf(url: string, authorization: string): Client {
  return createTRPCClient<AppRouter>({
    links: [
      splitLink({
        condition: ({ type }) => type === "subscription",
        true: httpSubscriptionLink({ url, EventSource, eventSourceOptions: { fetch: authorised(authorization) } }),
        false: httpBatchLink({ url, headers: { authorization } }),
      }),
    ],
  });
}

/** The fetch of an EventSource, which cannot send headers by itself. */
export function authorised(authorization: string) {
  return (url: string | URL, init: RequestInit) =>
    fetch(url, { ...init, headers: { ...(init.headers as Record<string, string>), authorization } });
}

export type Watch = {
  /** What has been seen so far. */
  events: JobEvent[];
  /** Resolves at the end of the subscription. */
  completed: Promise<void>;
  leave: () => void;
};

/** Watches a job by tRPC's client. */
export function watch(client: Client, runId: string, lastEventId?: string): Watch {
  const events: JobEvent[] = [];
  const { promise: completed, resolve, reject } = Promise.withResolvers<void>();
  const { unsubscribe } = client.jobs.watch.subscribe(
    { runId, lastEventId },
    { onData: ({ data }) => events.push(data), onComplete: resolve, onError: reject },
  );
  return { events, completed, leave: unsubscribe };
}

/** An answer whose texts the test sends one by one. */
export function slowStream(exchange: Exchange) {
  const { response } = exchange;
  return {
    send: (content: string) => sendEvent(response, chunk({ content })),
    end: () => {
      sendEvent(response, chunk({}, "stop"));
      sendEvent(response, "[DONE]");
      response.end();
    },
  };
}

/** The content that events tell: what came after the last attempt began. */
export function textOf(events: readonly JobEvent[]): string {
  let text = "";
  for (const event of events) {
    if (event.type === "status" && event.status === "running") text = "";
    if (event.type === "delta") text += event.content ?? "";
  }
  return text;
}
