import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildWorker, makeBuildDir } from "../../src/local/build.ts";
import { migrate } from "../../src/local/migrate.ts";
import { projectRoot } from "../../src/local/project.ts";
import { requireReady } from "../../src/local/readiness.ts";
import { type LocalDatabase, openRuntime, type Runtime } from "../../src/local/runtime.ts";
import { makeKeys } from "../../src/local/seed.ts";
import { workerdPid } from "../bench/cpu.ts";

export interface Mortal extends AsyncDisposable {
  url: string;
  secretKey: string;
  /** Of the present life. */
  database: () => LocalDatabase;
  /** Ends workerd without any notice (SIGKILL) and starts it again on the same state and port. Resolves with the moment, ms since the epoch. */
  killAndRestart: () => Promise<number>;
  runCron: () => Promise<void>;
  /** What the Worker has logged: names of events and how often. */
  logged: ReadonlyMap<string, number>;
}

export type MortalOptions = { upstreamUrl: string; signal: AbortSignal };

/** The real server, which can be killed. Disposing ends it and removes its state. */
export async function startMortal({ upstreamUrl, signal }: MortalOptions): Promise<Mortal> {
  const stateDir = await mkdtemp(join(tmpdir(), "weir-torture-"));
  await using undo = new AsyncDisposableStack();
  undo.defer(() => rm(stateDir, { recursive: true, force: true }));
  const buildDir = join(projectRoot, ".weir", "build");
  await makeBuildDir(buildDir);
  const worker = await buildWorker(buildDir, signal);
  const logged = new Map<string, number>();
  // No circuit: whether a job may fail must depend on its own script only.
  const bindings = {
    UPSTREAM_BASE_URL: upstreamUrl,
    UPSTREAM_API_KEY: "torture",
    UPSTREAM_CIRCUIT_FAILURES: "1000000",
    ENVIRONMENT: "development",
    WEBHOOKS_ALLOW_LOOPBACK: "true",
    ENCRYPTION_KEY: randomBytes(32).toString("base64"),
  };
  const log = (line: string) => {
    const event = /"event":"(\w+)"/.exec(line)?.[1] ?? line.split(/[;=]/, 1).join("").slice(0, 80);
    logged.set(event, (logged.get(event) ?? 0) + 1);
  };
  const open = (port: number) => openRuntime({ worker, stateDir, port, bindings, log, signal });

  let runtime: Runtime = await open(0);
  undo.defer(() => runtime[Symbol.asyncDispose]());
  await migrate(runtime.database);
  await requireReady(runtime.url, signal);
  const { secretKey } = await makeKeys(runtime.database, []);
  const { url } = runtime;
  const started = undo.move();
  return {
    url,
    secretKey,
    logged,
    database: () => runtime.database,
    runCron: () => runtime.runCron(),
    async killAndRestart() {
      process.kill(await workerdPid(), "SIGKILL");
      const killedAtMs = Date.now();
      await runtime[Symbol.asyncDispose]();
      runtime = await open(Number(new URL(url).port));
      return killedAtMs;
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}
