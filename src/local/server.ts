import { join } from "node:path";
import { buildWorker, makeBuildDir } from "./build.ts";
import { localEncryptionKey } from "./encryptionKey.ts";
import { migrate } from "./migrate.ts";
import { localOrigins } from "./origins.ts";
import { requireReady } from "./readiness.ts";
import { openRuntime, type Runtime } from "./runtime.ts";
import { makeKeys, reuseKeys, saveSamples } from "./seed.ts";
import { type LocalFile, openStateDir, readLocalFile, writeLocalFile } from "./state.ts";

export type ServerOptions = {
  /** Where the database, the keys and the bundle live; made when missing. */
  stateDir: string;
  /** 0 (the default) takes a free one. */
  port?: number;
  /** Variables of the Worker beside those of a local start (the simulator on, upstreams and webhooks on this machine allowed, a key of its own). */
  env?: Record<string, string>;
  /** Gets each line that the Worker logs. */
  log?: (line: string) => void;
  /** Ends a start that is under way; what had been started is stopped before the promise rejects. */
  signal?: AbortSignal;
  /** How often the Worker's cron runs, ms; a minute, as wrangler.toml has it, when left out. */
  cronMs?: number;
  /** Where bundles are kept; servers with different states may share one. */
  buildDir?: string;
};

export interface LocalServer extends AsyncDisposable, LocalFile {
  stateDir: string;
}

/**
 * Builds the Worker, runs it on 127.0.0.1 with its database in the state folder, migrated and seeded, and writes
 * `local.json` there. Keys of an earlier start are used again while they are valid. The caller owns the server:
 * disposing ends every process it started. Throws a StartError for what its user can mend.
 */
export async function startServer(options: ServerOptions): Promise<LocalServer> {
  const {
    stateDir,
    port = 0,
    env = {},
    log = () => {},
    signal,
    cronMs = 60_000,
    buildDir = join(stateDir, "build"),
  } = options;
  await openStateDir(stateDir);
  await makeBuildDir(buildDir);
  const worker = await buildWorker(buildDir, signal);
  const ENCRYPTION_KEY = env["ENCRYPTION_KEY"] ?? (await localEncryptionKey(stateDir));
  const local = { ENVIRONMENT: "development", ALLOW_LOOPBACK_UPSTREAMS: "on", WEBHOOKS_ALLOW_LOOPBACK: "true" };
  const bindings = { SIMULATOR: "on", ...local, ...env, ENCRYPTION_KEY };
  const runtime = await openRuntime({ worker, stateDir, port, bindings, log, signal });
  try {
    await migrate(runtime.database);
    await requireReady(runtime.url, signal);
    const origins = localOrigins(runtime.url);
    const known = await reuseKeys(runtime.database, await readLocalFile(stateDir, log), origins);
    const keys = known ?? (await makeKeys(runtime.database, origins));
    if (!known) await saveSamples({ url: runtime.url, secretKey: keys.secretKey });
    signal?.throwIfAborted();
    // Last, so that an interrupted start is taken up again by the next one.
    const file = { url: runtime.url, ...keys };
    await writeLocalFile(stateDir, file);
    const cron = startCron(runtime, { everyMs: cronMs, log });
    const dispose = async () => {
      clearInterval(cron);
      await runtime[Symbol.asyncDispose]();
    };
    return { ...file, stateDir, [Symbol.asyncDispose]: dispose };
  } catch (thrown) {
    await runtime[Symbol.asyncDispose]();
    throw thrown;
  }
}

/** The runtime on this machine runs no cron by itself. */
function startCron({ runCron }: Runtime, { everyMs, log }: { everyMs: number; log: (line: string) => void }) {
  return setInterval(() => {
    runCron().catch((thrown: unknown) => log(`the cron could not be run: ${String(thrown)}`));
  }, everyMs).unref();
}
