import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobEvent } from "../../src/contract/jobs.ts";
import { limits } from "../../src/contract/limits.ts";
import { AppError } from "../../src/core/errors.ts";
import { type WatchSource, watchJob } from "../../src/core/jobWatch.ts";
import type { Principal } from "../../src/core/principal.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const restarts = 3 * limits.watchReattachments;
const done = { seq: 1, type: "done" } as JobEvent;

/** The stream of an object that is restarted after so long, ms, before it has told anything. */
const silence = (ms: number) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      setTimeout(() => controller.close(), ms);
    },
  });

async function all(events: AsyncIterable<JobEvent>): Promise<JobEvent[]> {
  const told: JobEvent[] = [];
  for await (const event of events) told.push(event);
  return told;
}

/** Watches a job through the sources, or the failures to get them, to the end. */
async function watched(sources: (() => WatchSource)[]): Promise<{ told: JobEvent[] | unknown; attached: number }> {
  let attached = 0;
  const ports = { attach: async () => (sources[attached++] ?? (() => [done]))(), log: () => {} };
  const options = { principal: {} as Principal, runId: "run_1", afterSeq: 0, follow: true };
  const told = all(watchJob(ports, { ...options, signal: new AbortController().signal })).catch(
    (thrown: unknown) => thrown,
  );
  await vi.runAllTimersAsync();
  return { told: await told, attached };
}

describe("a watch", () => {
  it("of a silent job goes on through any number of restarts that do not follow each other at once", async () => {
    const { told, attached } = await watched(
      Array.from({ length: restarts }, () => () => silence(limits.watchSteadyMs)),
    );
    expect(told).toEqual([done]);
    expect(attached).toBe(restarts + 1);
  });

  it("gives up where one restart follows the other", async () => {
    const { told, attached } = await watched(Array.from({ length: restarts }, () => () => silence(100)));
    expect(told).toMatchObject({ code: "unavailable", retryAfterSeconds: 1 });
    expect(attached).toBe(limits.watchReattachments + 1);
  });

  it("asks again for an object that cannot be reached, and not for a job that it may not see", async () => {
    const failing = (code: "unavailable" | "not_found") => () => {
      throw new AppError(code, "no");
    };
    expect(await watched([failing("unavailable")])).toMatchObject({ told: [done], attached: 2 });
    expect(await watched([failing("not_found")])).toMatchObject({ told: { code: "not_found" }, attached: 1 });
  });
});
