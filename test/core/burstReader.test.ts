import { expect, it } from "vitest";
import { byteReader } from "../../src/core/burstReader.ts";

// The runtime's own streams are read over sockets, in test/e2e/bursts.test.ts.
it("reads a stream that JavaScript made as it comes, and lets go of it", async () => {
  const pieces = Array.from({ length: 50 }, (_, at) => new TextEncoder().encode(`piece ${at}`));
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => pieces.forEach((piece) => void controller.enqueue(piece)),
    cancel() {
      cancelled = true;
    },
  });
  const reader = byteReader(stream);
  for (const piece of pieces) expect(await reader.read()).toEqual({ done: false, value: piece });
  await reader.cancel();
  expect(cancelled).toBe(true);
  expect((await reader.read()).done).toBe(true);
});
