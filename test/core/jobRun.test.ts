import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import type { AnswerDelta } from "../../src/core/answerDelta.ts";
import { Circuits } from "../../src/core/circuit.ts";
import { runJob } from "../../src/core/jobRun.ts";
import type { JobSpec } from "../../src/core/jobSpec.ts";

/* What durable and api tests do not show: the pace at which a job's text is told. */

const everyMs = 10;
let nowMs: number;
beforeEach(() => {
  nowMs = 1_000_000;
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Plays a stream of so many chunks, and resolves with the deltas and when each was told, ms after the first. */
async function play(
  chunks: number,
  lateMs: number,
  stepBack?: { at: number; ms: number },
): Promise<{ delta: AnswerDelta; atMs: number }[]> {
  const told: { delta: AnswerDelta; atMs: number }[] = [];
  const upstream = new TransformStream<Uint8Array, Uint8Array>();
  const route = {
    upstream: "default",
    model: "m",
    baseUrl: "http://up.example",
    apiKey: null,
    headers: {},
    secrets: [],
  };
  const timeouts = { headersMs: 60_000, firstTokenMs: 60_000, idleMs: 60_000, totalMs: 600_000, firstEventHoldMs: 0 };
  const spec = { start: { createdAtMs: nowMs, projectId: "prj_1" }, body: {}, timeouts } as unknown as JobSpec;
  const running = runJob(
    {
      callUpstream: async () => new Response(upstream.readable, { headers: { "content-type": "text/event-stream" } }),
      policy: { perModel: 1, pauseMs: 1, circuitFailures: 100 },
      circuits: new Circuits(),
      recordAttempt: () => {},
      tell: (delta) => void told.push({ delta, atMs: nowMs }),
      background: () => {},
      now: () => nowMs,
    },
    {
      spec,
      candidates: [
        { model: "m", route: { ...route, simulated: false, shared: true, reasoning: false, maxJobs: null } },
      ],
      past: [],
      stop: new AbortController().signal,
    },
  );
  const writer = upstream.writable.getWriter();
  const send = (choice: object) =>
    writer.write(new TextEncoder().encode(`data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`));
  for (let at = 0; at < chunks; at++) {
    await send({ delta: { content: `${at} ` }, finish_reason: null });
    // A timer of a busy runtime goes off when its time is over by this much.
    nowMs += everyMs + lateMs;
    if (at === stepBack?.at) nowMs -= stepBack.ms;
    await vi.advanceTimersByTimeAsync(everyMs);
  }
  await send({ delta: {}, finish_reason: "stop" });
  await writer.close();
  expect((await running).status).toBe("succeeded");
  expect(told.map(({ delta }) => delta.content).join("")).toBe(
    Array.from({ length: chunks }, (_, at) => `${at} `).join(""),
  );
  return told.map(({ delta, atMs }) => ({ delta, atMs: atMs - (told[0]?.atMs ?? 0) }));
}

it("tells the first token at once, then what has come since, a fixed time apart", async () => {
  const told = await play(100, 0);
  expect(told[0]?.delta.content).toBe("0 ");
  const gaps = told.slice(1, -1).map(({ atMs }, at) => atMs - (told[at]?.atMs ?? 0));
  expect(gaps.length).toBeGreaterThan(5);
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(limits.jobDeltaMs);
  // The clock goes in steps here, which makes a timer late by up to one.
  expect(Math.max(...gaps)).toBeLessThanOrEqual(limits.jobDeltaMs + (limits.jobLateFactor + 1) * everyMs);
});

it("tells more at a time where the runtime is behind", async () => {
  const usual = limits.jobDeltaMs / everyMs;
  const told = await play(400, 30);
  const chunks = told.slice(2, -1).map(({ delta }) => (delta.content ?? "").trim().split(" ").length);
  expect(chunks.length).toBeGreaterThan(0);
  expect(Math.min(...chunks)).toBeGreaterThan(2 * usual);
  expect(Math.max(...chunks)).toBeLessThanOrEqual(limits.maxJobDeltaMs / everyMs + 1);
});

it("goes on telling when the clock steps back", async () => {
  const told = await play(400, 0, { at: 200, ms: 1_500 });
  const chunks = told.slice(1, -1).map(({ delta }) => (delta.content ?? "").trim().split(" ").length);
  expect(Math.max(...chunks)).toBeLessThanOrEqual((2 * limits.jobDeltaMs) / everyMs);
});
