import { dirname } from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import type { BuiltWorker } from "./build.ts";
import { guardsEnded, guardWorkerd } from "./guard.ts";
import { StartError } from "./project.ts";
import { resourceDir } from "./state.ts";

/** A Worker that runs in the same workerd, for comparison; it shares the database and the Durable Objects. */
export type WorkerBeside = {
  name: string;
  /** ES modules by file name, the entry first. */
  modules: Record<string, string>;
  bindings: Record<string, string>;
};

export type RuntimeOptions = {
  worker: BuiltWorker;
  beside?: readonly WorkerBeside[];
  stateDir: string;
  /** 0 takes a free one. */
  port: number;
  bindings: Record<string, string>;
  log: (line: string) => void;
  signal?: AbortSignal | undefined;
};

export type LocalDatabase = Awaited<ReturnType<Miniflare["getD1Database"]>>;

export interface Runtime extends AsyncDisposable {
  url: string;
  /** Where a Worker beside listens. */
  urlOf: (name: string) => Promise<string>;
  database: LocalDatabase;
  /** Does what the platform's cron would: calls the Worker's handler. Rejects when workerd has ended. */
  runCron: () => Promise<void>;
}

/**
 * Runs the bundle in workerd on 127.0.0.1. Clients reach workerd itself, not miniflare's development proxy, so that
 * streaming and disconnects are as on the platform. Disposing ends workerd, and so does the end of this process, however
 * it comes. Throws a StartError for a taken port.
 */
export async function openRuntime({ worker, beside = [], log, signal, ...options }: RuntimeOptions): Promise<Runtime> {
  const common = {
    compatibilityDate: worker.config.compatibilityDate,
    compatibilityFlags: worker.config.compatibilityFlags,
    d1Databases: { DB: worker.config.localDatabaseId },
    ratelimits: worker.config.rateLimits,
  };
  const durableObjects = (scriptName?: string) =>
    Object.fromEntries(
      Object.entries(worker.config.durableObjects).map(([binding, className]) => [
        binding,
        { className, useSQLite: true, ...(scriptName !== undefined && { scriptName }) },
      ]),
    );
  guardWorkerd();
  const miniflare = withoutSignalHandlers(
    () =>
      new Miniflare(
        convertV4MiniflareOptions({
          workers: [
            {
              ...common,
              name: worker.config.name,
              modules: [{ type: "ESModule", path: worker.path, contents: worker.code }],
              modulesRoot: dirname(worker.path),
              bindings: options.bindings,
              durableObjects: durableObjects(),
              unsafeDirectSockets: [{ host: "127.0.0.1", port: options.port }],
            },
            ...beside.map(({ name, modules, bindings }) => ({
              ...common,
              name,
              modules: Object.entries(modules).map(
                ([path, contents]) => ({ type: "ESModule", path, contents }) as const,
              ),
              bindings,
              durableObjects: durableObjects(worker.config.name),
              unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
            })),
          ],
          resourcePersistencePath: resourceDir(options.stateDir),
          host: "127.0.0.1",
          port: 0,
          // On miniflare's own port, which clients do not use.
          unsafeTriggerHandlers: true,
          // Nothing is fetched from outside, nothing is sent there.
          cf: false,
          telemetry: { enabled: false },
          logRequests: false,
          log: new Log(LogLevel.NONE),
          handleStructuredLogs: ({ message }) => log(message),
        }),
      ),
  );
  const dispose = async () => {
    await miniflare.dispose().catch(() => {});
    await guardsEnded();
  };
  try {
    await unlessAborted(miniflare.ready, signal);
    const url = (await miniflare.unsafeGetDirectURL()).origin;
    const database = await unlessAborted(miniflare.getD1Database("DB"), signal);
    const urlOf = async (name: string) => (await miniflare.unsafeGetDirectURL(name)).origin;
    const runCron = async () => {
      // Not `scheduled()` of miniflare's own: that holds this process up until the handler has ended.
      const answer = await miniflare.dispatchFetch("http://localhost/cdn-cgi/local/scheduled");
      if (!answer.ok) throw new Error(`the cron's handler ended as ${await answer.text()}`);
    };
    return { url, urlOf, database, runCron, [Symbol.asyncDispose]: dispose };
  } catch (thrown) {
    await dispose();
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ERR_ADDRESS_IN_USE")
      throw new StartError(`Port ${options.port} is taken: stop what uses it, or choose another with PORT=…`);
    throw thrown;
  }
}

/**
 * Miniflare answers SIGINT and its like with an exit of its own, code 130; here the caller decides how to end.
 * Its handler of `exit` stays: it ends workerd whatever happens.
 */
function withoutSignalHandlers<T>(make: () => T): T {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const before = signals.map((signal) => new Set(process.listeners(signal)));
  const made = make();
  signals.forEach((signal, at) => {
    for (const listener of process.listeners(signal))
      if (!before[at]?.has(listener)) process.removeListener(signal, listener);
  });
  return made;
}

/** Rejects as soon as the signal aborts; the promise itself is not stopped. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await promise;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  try {
    // The race also takes up what the promise may still throw once nobody waits for it.
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
