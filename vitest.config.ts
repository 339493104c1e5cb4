import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/** Tests under these folders start servers and processes, so they run in Node; all others run inside workerd. */
const node = ["test/e2e/**/*.test.ts", "test/local/**/*.test.ts", "test/house/**/*.test.ts"];

/**
 * What Durable Objects find in their environment: that of the test's calls does not reach them. Retries are on and
 * quick, and no circuit interferes.
 */
const objectEnv = {
  UPSTREAM_BASE_URL: "http://upstream.test/v1",
  UPSTREAM_API_KEY: "upstream-secret-key",
  ENCRYPTION_KEY: btoa("a key of thirty-two bytes, no mo"),
  SIMULATOR: "on",
  UPSTREAM_ATTEMPTS: "3",
  UPSTREAM_RETRY_PAUSE_MS: "1",
  UPSTREAM_CIRCUIT_FAILURES: "1000000",
};

export default defineConfig({
  test: {
    // Many tests wait for processes rather than compute: more of them than cores go side by side.
    maxWorkers: 4,
    silent: "passed-only",
    reporters: ["default", "./test/support/summary.ts"],
    projects: [
      {
        plugins: [
          cloudflareTest(async () => ({
            main: "./src/index.ts",
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                ...objectEnv,
                GATE_BURST: process.env["GATE_BURST"] ?? "120",
                MIGRATIONS: await readD1Migrations({ projectPath: "." }),
              },
            },
          })),
        ],
        test: {
          name: "workerd",
          include: ["test/**/*.test.ts"],
          exclude: node,
          setupFiles: ["test/support/migrate.ts"],
          // Properties are computed over thousands of cases, which takes its time on a machine with other work.
          testTimeout: 20_000,
        },
      },
      {
        test: { name: "node", include: node, testTimeout: 60_000, hookTimeout: 120_000 },
      },
    ],
  },
});
