import { EventSource } from "eventsource";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { JobEvent } from "../../src/contract/jobs.ts";
import { limits } from "../../src/contract/limits.ts";
import { authorised, type JobBench, slowStream, startJobBench, textOf, watch } from "./jobBench.ts";

let bench: JobBench;
beforeAll(async () => {
  bench = await startJobBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const words = ["Es ", "war ", "einmal ", "ein ", "König", ", 国王", " 🤴🏽", ".\n"];
const messages = [{ role: "user" as const, content: "Hi" }];

/** Submits a job and waits for its call of the upstream. */
async function submit(fields: { onInterrupt?: "restart" | "keep" } = {}) {
  bench.play(() => {});
  const calls = bench.upstream.requests.length;
  const { runId } = await bench.client.jobs.submit.mutate({ model: "m", messages, ...fields });
  return { runId, stream: slowStream(await bench.upstream.exchange(calls)) };
}

const expectGapless = (events: readonly JobEvent[]) =>
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1));

describe("tRPC's own client", () => {
  it("loses its connection again and again and sees the same as one that did not", async () => {
    const { runId, stream } = await submit();
    const seen = watch(bench.client, runId);
    for (const [at, word] of words.entries()) {
      stream.send(word);
      // EventSource comes back after 3 s.
      await vi.waitUntil(() => textOf(seen.events).endsWith(word), { timeout: 10_000 });
      if (at % 3 === 0) bench.line.cut();
    }
    stream.end();
    await seen.completed;
    const late = watch(bench.client, runId);
    await late.completed;
    expect(seen.events).toEqual(late.events);
    expectGapless(seen.events);
    expect(textOf(seen.events)).toBe(words.join(""));
    expect(seen.events.at(-1)).toMatchObject({ type: "done", run: { status: "succeeded" } });
  });

  it("leaves, and the job goes on to its end", async () => {
    const { runId, stream } = await submit();
    const seen = watch(bench.client, runId);
    stream.send("before");
    await vi.waitUntil(() => textOf(seen.events) === "before");
    seen.leave();
    bench.line.cut();
    stream.send(" after");
    stream.end();
    expect(await bench.client.jobs.result.query({ runId })).toMatchObject({
      status: "succeeded",
      content: "before after",
    });
  });

  it("cancels: the upstream is closed within 1 s", async () => {
    const calls = bench.upstream.requests.length;
    const { runId, stream } = await submit();
    stream.send("part");
    const { closedByPeer } = await bench.upstream.exchange(calls);
    const askedAt = performance.now();
    expect(await bench.client.jobs.cancel.mutate({ runId })).toEqual({ runId, status: "cancelled" });
    await closedByPeer;
    expect(performance.now() - askedAt).toBeLessThan(1_000);
  });
});

describe("a plain EventSource", () => {
  it("comes back by itself with the last id it has seen", async () => {
    const { runId, stream } = await submit();
    const input = encodeURIComponent(JSON.stringify({ runId }));
    const source = new EventSource(`${bench.line.url}/trpc/jobs.watch?input=${input}`, {
      fetch: authorised(bench.authorization),
    });
    const events: JobEvent[] = [];
    source.addEventListener("message", ({ data }) => events.push(JSON.parse(data)));
    const ended = new Promise((resolve) => source.addEventListener("return", resolve));
    stream.send("one ");
    await vi.waitUntil(() => textOf(events) === "one ");
    bench.line.cut();
    stream.send("two");
    await vi.waitUntil(() => textOf(events) === "one two", { timeout: 10_000 });
    stream.end();
    await ended;
    source.close();
    expectGapless(events);
    expect(events.at(-1)).toMatchObject({ type: "done", run: { status: "succeeded" } });
  });
});

describe("a client that comes back after it has seen the end", () => {
  const ended = async () => {
    const { runId, stream } = await submit();
    stream.send("all");
    stream.end();
    const seen = watch(bench.client, runId);
    await seen.completed;
    return { runId, lastEventId: String(seen.events.at(-1)?.seq) };
  };

  it("is told so: tRPC's own completes without an error", async () => {
    const { runId, lastEventId } = await ended();
    const again = watch(bench.client, runId, lastEventId);
    await again.completed;
    expect(again.events).toEqual([]);
  });

  it("is told so: a plain EventSource that nobody closes does not come back again and again", async () => {
    const { runId, lastEventId } = await ended();
    const input = encodeURIComponent(JSON.stringify({ runId, lastEventId }));
    let connections = 0;
    const source = new EventSource(`${bench.line.url}/trpc/jobs.watch?input=${input}`, {
      fetch: (...call) => {
        connections++;
        return authorised(bench.authorization)(...call);
      },
    });
    await new Promise((resolve) => source.addEventListener("return", resolve));
    // The time in which it would have come back several times.
    await new Promise((resolve) => setTimeout(resolve, 4 * limits.watchRetryMs));
    source.close();
    expect(connections).toBe(1);
  });
});

/** Kept and restarted jobs end as they were asked to, before the eyes of their watchers. */
async function endAsAsked(interrupt: () => Promise<void>): Promise<void> {
  const kept = await submit();
  const restarted = await submit({ onInterrupt: "restart" });
  const seen = [kept, restarted].map(({ runId }) => watch(bench.client, runId));
  for (const { stream } of [kept, restarted]) stream.send("half a ");
  await vi.waitUntil(() => seen.every(({ events }) => textOf(events) === "half a "));
  await interrupt();
  bench.play((exchange) => {
    const stream = slowStream(exchange);
    for (const word of words) stream.send(word);
    stream.end();
  });
  await bench.restart();
  await Promise.all(seen.map(({ completed }) => completed));
  for (const { events } of seen) expectGapless(events);
  const [first, second] = seen.map(({ events }) => ({ text: textOf(events), last: events.at(-1) }));
  expect(first).toMatchObject({ text: "half a ", last: { type: "done", run: { status: "interrupted" } } });
  expect(second).toMatchObject({ text: words.join(""), last: { type: "done", run: { status: "succeeded" } } });
  for (const [{ runId }, text] of [
    [kept, "half a "],
    [restarted, words.join("")],
  ] as const) {
    const recorded = async () => (await bench.client.runs.get.query({ id: runId })).contents?.content;
    await expect.poll(recorded).toBe(text);
  }
}

describe("fault 40: a deployment with jobs under way", () => {
  it("keeps what had arrived, and the jobs go on", () => endAsAsked(() => bench.stop()));
});

describe("fault 25: the runtime is killed", () => {
  it("mid-stream: kept and restarted jobs end as they were asked to", () => endAsAsked(() => bench.kill()));

  it("before the job begins: it begins once the runtime is back", async () => {
    const { runId } = await bench.client.jobs.submit.mutate({ model: "m", messages, delayMs: 500 });
    await bench.kill();
    await bench.restart();
    expect(await bench.client.jobs.result.query({ runId })).toMatchObject({
      status: "succeeded",
      content: words.join(""),
    });
  });
});
