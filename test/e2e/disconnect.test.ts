import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chunk, type Exchange, sendEvent, startUpstream } from "../support/upstream.ts";
import { type FaultBench, startFaultBench } from "./faultBench.ts";
import { bytesInSockets } from "./sockets.ts";

let bench: FaultBench;
beforeAll(async () => {
  bench = await startFaultBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

/** Begins with a text; then an event every `paceMs`, or nothing more. */
const flow = (paceMs: number) => (exchange: Exchange) => {
  const { response } = exchange;
  sendEvent(response, chunk({ content: "partial text" }));
  const pace = setInterval(() => paceMs > 0 && sendEvent(response, chunk({ content: "." })), paceMs || 1_000);
  response.on("close", () => clearInterval(pace));
};

/** Begins with a text; then an event that never ends, a byte every 20 ms. */
const drip = ({ response }: Exchange) => {
  sendEvent(response, chunk({ content: "partial text" }));
  response.write("data: ");
  const pace = setInterval(() => response.write("."), 20);
  response.on("close", () => clearInterval(pace));
};

/** Reads a stream for `forMs` after its first bytes, leaves, and says how long the upstream stayed open then, ms. */
async function leaveAfter(forMs: number): Promise<{ id: string; openMs: number; read: string }> {
  const leaving = new AbortController();
  const index = bench.upstream.requests.length;
  const response = await bench.post({}, leaving.signal);
  const reader = response.body?.getReader();
  let read = new TextDecoder().decode((await reader?.read())?.value);
  const reading = (async () => {
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read())
      read += new TextDecoder().decode(next.value);
  })().catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, forMs));
  const { closedByPeer } = await bench.upstream.exchange(index);
  leaving.abort();
  const leftAt = performance.now();
  // Resolves only when the upstream saw its connection close; a relay that went on would hang here.
  await closedByPeer;
  await reading;
  return { id: response.headers.get("x-weir-run-id") ?? "", openMs: performance.now() - leftAt, read };
}

async function expectCancelled(id: string): Promise<void> {
  const { run, contents } = await bench.settled(id);
  expect(run).toMatchObject({ status: "cancelled", errorCode: null, usage: null, usageSource: "unknown", cost: null });
  expect(run.attempts).toMatchObject([{ status: 200, error: null }]);
  expect(contents?.content).toMatch(/^partial text\.*$/);
}

describe("fault 19: a client that leaves mid-stream", () => {
  it.each([
    ["flowing", flow(20)],
    ["silent", flow(0)],
    ["dripping", drip],
  ])("stops a %s upstream within 1 s, and its run is cancelled with the partial text", async (_how, answer) => {
    bench.play(answer);
    const { id, openMs } = await leaveAfter(100);
    expect(openMs).toBeLessThan(1_000);
    await expectCancelled(id);
  });

  it("at 20 random moments at once stops the upstream within 1 s each time, and no other stream", async () => {
    bench.play(flow(10));
    const staying = new AbortController();
    const index = bench.upstream.requests.length;
    const stays = await bench.post({}, staying.signal);
    const left = await Promise.all(Array.from({ length: 20 }, () => leaveAfter(Math.random() * 1_000)));
    for (const { id, openMs, read } of left) {
      expect(openMs).toBeLessThan(1_000);
      await expectCancelled(id);
      // What a client has read is on record.
      const dots = read.match(/"content":"\."/g)?.length ?? 0;
      const { contents } = await bench.settled(id);
      expect(contents?.content?.length).toBeGreaterThanOrEqual("partial text".length + dots);
    }
    const { response } = await bench.upstream.exchange(index);
    sendEvent(response, chunk({}, "stop"));
    sendEvent(response, "[DONE]");
    response.end();
    expect(await stays.text()).toContain("[DONE]");
    const { run } = await bench.settled(stays.headers.get("x-weir-run-id") ?? "");
    expect(run.status).toBe("succeeded");
  });

  it("before the first event, once the headers are out, stops the upstream too", async () => {
    await using silent = await startUpstream(() => {});
    await bench.client.upstreams.create.mutate({ name: "slow", baseUrl: silent.url });
    const leaving = new AbortController();
    // The headers go out after the hold, whatever the upstream does.
    const response = await bench.post({ model: "slow/m" }, leaving.signal);
    expect(response.status).toBe(200);
    const { closedByPeer } = await silent.exchange(0);
    leaving.abort();
    const leftAt = performance.now();
    await closedByPeer;
    expect(performance.now() - leftAt).toBeLessThan(1_000);
    const { run } = await bench.settled(response.headers.get("x-weir-run-id") ?? "");
    expect(run).toMatchObject({ status: "cancelled", usage: null });
  });
});

describe("fault 20: a slow reader", () => {
  /** More than sockets ever hold. */
  const total = 256 * 1024 * 1024;

  it("slows the upstream: what is taken while it sleeps is bounded, and the upstream is closed when it leaves", async () => {
    let taken = 0;
    const stalled = Promise.withResolvers<void>();
    bench.play(({ response }) => {
      const event = `data: ${JSON.stringify(chunk({ content: "x".repeat(64 * 1024) }))}\n\n`;
      response.writeHead(200, { "content-type": "text/event-stream" });
      let quiet: NodeJS.Timeout | undefined;
      const write = () =>
        response.write(event, (failed) => {
          if (failed) return;
          taken += event.length;
          clearTimeout(quiet);
          // Nothing more has been taken for so long: the reader's sleep has reached the upstream.
          quiet = setTimeout(stalled.resolve, 1_500);
          if (taken < total) write();
        });
      write();
    });
    const leaving = new AbortController();
    const index = bench.upstream.requests.length;
    const response = await bench.post({}, leaving.signal);
    const reader = response.body?.getReader();
    await reader?.read();
    await stalled.promise;
    // How much the sockets take is the system's affair: what is in none of them is held here.
    const inSockets = await bytesInSockets(...[bench.server.url, bench.upstream.url].map((url) => +new URL(url).port));
    expect(taken - inSockets).toBeLessThan(2 * 1024 * 1024);
    const before = taken;
    // It wakes up: the stream goes on where it was.
    for (let bytes = 0; bytes < 6 * 1024 * 1024; ) bytes += (await reader?.read())?.value?.length ?? total;
    await expect.poll(() => taken).toBeGreaterThan(before);
    const { closedByPeer } = await bench.upstream.exchange(index);
    leaving.abort();
    const leftAt = performance.now();
    await closedByPeer;
    expect(performance.now() - leftAt).toBeLessThan(1_000);
    const { run } = await bench.settled(response.headers.get("x-weir-run-id") ?? "");
    expect(run.status).toBe("cancelled");
  });

  it("that reads on gets everything, and the run is whole", async () => {
    const texts = Array.from({ length: 64 }, (_, i) => `${i}`.padEnd(64 * 1024, "y"));
    bench.play(({ response }) => {
      for (const content of texts) sendEvent(response, chunk({ content }));
      sendEvent(response, chunk({}, "stop"));
      sendEvent(response, "[DONE]");
      response.end();
    });
    const response = await bench.post();
    let bytes = 0;
    for await (const piece of response.body ?? []) {
      bytes += piece.length;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(bytes).toBeGreaterThan(64 * 64 * 1024);
    const { run } = await bench.settled(response.headers.get("x-weir-run-id") ?? "");
    expect(run).toMatchObject({ status: "succeeded", errorCode: null });
  });
});
