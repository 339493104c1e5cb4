import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../../src/local/project.ts";
import { type LocalServer, startServer } from "../../src/local/server.ts";

export interface TestServer extends LocalServer {
  /** Every line the Worker has logged so far. */
  logs: string[];
}

/**
 * The real Worker in workerd on a free port of this machine, with a fresh migrated and seeded database:
 * `await using server = await startTestServer({ env: { UPSTREAM_BASE_URL: upstream.url } })`.
 * Disposing ends its processes and removes its state.
 */
export async function startTestServer({ env = {} }: { env?: Record<string, string> } = {}): Promise<TestServer> {
  const stateDir = await mkdtemp(join(tmpdir(), "weir-test-"));
  const logs: string[] = [];
  const remove = () => rm(stateDir, { recursive: true, force: true });
  try {
    // One bundle for all tests, and for npm start.
    const buildDir = join(projectRoot, ".weir", "build");
    const server = await startServer({ stateDir, buildDir, env, log: (line) => logs.push(line) });
    const dispose = async () => {
      await server[Symbol.asyncDispose]();
      await remove();
    };
    return { ...server, logs, [Symbol.asyncDispose]: dispose };
  } catch (thrown) {
    await remove();
    throw thrown;
  }
}
