import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { buildWorker, makeBuildDir } from "../../src/local/build.ts";
import { migrate } from "../../src/local/migrate.ts";
import { projectRoot } from "../../src/local/project.ts";
import { openRuntime } from "../../src/local/runtime.ts";

it("runs the Worker's cron handler on this machine", async () => {
  await using undo = new AsyncDisposableStack();
  const stateDir = await mkdtemp(join(tmpdir(), "weir-cron-"));
  undo.defer(() => rm(stateDir, { recursive: true, force: true }));
  const buildDir = join(projectRoot, ".weir", "build");
  await makeBuildDir(buildDir);
  const worker = await buildWorker(buildDir);
  const runtime = undo.use(await openRuntime({ worker, stateDir, port: 0, bindings: {}, log: () => {} }));
  await migrate(runtime.database);
  await runtime.database.exec(
    "INSERT INTO idempotency (project_id, key, request_digest, claim_id, expires_at) VALUES ('prj_1', 'k', 'd', 'c', 1)",
  );
  await runtime.runCron();
  expect(await runtime.database.prepare("SELECT count(*) FROM idempotency").first("count(*)")).toBe(0);
});
