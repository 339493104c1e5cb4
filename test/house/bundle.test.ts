import { expect, it } from "vitest";
import { measureBundle } from "../../src/local/bundle.ts";

/** Start-up time on the platform grows with the bundle; the platform's own limit of 3 MB is far away. */
const maxGzipBytes = 250 * 1024;

it("bundles to at most 250 KB gzip", async () => {
  const { gzipBytes } = await measureBundle();
  expect(gzipBytes).toBeGreaterThan(0);
  expect(gzipBytes).toBeLessThanOrEqual(maxGzipBytes);
});
