import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildWorker, makeBuildDir } from "../../src/local/build.ts";
import { migrate } from "../../src/local/migrate.ts";
import { projectRoot } from "../../src/local/project.ts";
import { requireReady } from "../../src/local/readiness.ts";
import { type LocalDatabase, openRuntime } from "../../src/local/runtime.ts";
import { makeKeys } from "../../src/local/seed.ts";
import { workerdPid } from "./cpu.ts";
import type { Door } from "./load.ts";
import { passThrough, pump, withoutWrites } from "./workers.ts";

export interface BenchServer extends AsyncDisposable {
  /**
   * Where calls go: straight to the upstream, through the bare Worker, through one that only pumps, through weir, through
   * weir that writes nothing.
   */
  doors: Record<"direct" | "bare" | "pump" | "weir" | "unwritten", Door>;
  url: string;
  secretKey: string;
  database: LocalDatabase;
  /** Of workerd. */
  pid: number;
}

/** weir and its comparisons in one workerd, with a fresh database. Disposing ends it and removes its state. */
export async function startBenchServer(upstreamUrl: string, signal: AbortSignal): Promise<BenchServer> {
  const stateDir = await mkdtemp(join(tmpdir(), "weir-bench-"));
  await using undo = new AsyncDisposableStack();
  undo.defer(() => rm(stateDir, { recursive: true, force: true }));
  const buildDir = join(projectRoot, ".weir", "build");
  await makeBuildDir(buildDir);
  const worker = await buildWorker(buildDir, signal);
  const ENCRYPTION_KEY = randomBytes(32).toString("base64");
  const bindings = { UPSTREAM_BASE_URL: upstreamUrl, UPSTREAM_API_KEY: "bench", ENCRYPTION_KEY };
  const beside = [passThrough(upstreamUrl), pump(upstreamUrl), withoutWrites(worker.code, bindings)];
  const log = (line: string) => console.error(line);
  const runtime = undo.use(await openRuntime({ worker, beside, stateDir, port: 0, bindings, log, signal }));
  await migrate(runtime.database);
  await requireReady(runtime.url, signal);
  const { secretKey } = await makeKeys(runtime.database, []);
  const door = (url: string): Door => ({ url: `${url}/v1`, headers: { authorization: `Bearer ${secretKey}` } });
  const doors = {
    direct: door(upstreamUrl.slice(0, -"/v1".length)),
    bare: door(await runtime.urlOf("bare")),
    pump: door(await runtime.urlOf("pump")),
    weir: door(runtime.url),
    unwritten: door(await runtime.urlOf("unwritten")),
  };
  const { url, database } = runtime;
  const pid = await workerdPid();
  const started = undo.move();
  return { doors, url, database, secretKey, pid, [Symbol.asyncDispose]: () => started.disposeAsync() };
}
