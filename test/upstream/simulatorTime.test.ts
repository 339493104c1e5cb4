import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { sleep } from "../../src/upstream/simulator/clock.ts";
import { simulatorFetch } from "../../src/upstream/simulator.ts";
import { type Ask, simRequest } from "../support/simulator.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Follows timers until the promise settles. */
async function settle<Value>(promise: Promise<Value>): Promise<Value> {
  let settled = false;
  const mark = () => {
    settled = true;
  };
  promise.then(mark, mark);
  while (!settled) {
    await scheduler.wait(0);
    if (!settled && vi.getTimerCount() > 0) await vi.advanceTimersToNextTimerAsync();
  }
  return promise;
}

async function turnUntil(condition: () => boolean): Promise<void> {
  while (!condition()) await scheduler.wait(0);
}

/** The request with another pace than the tests' own; null for none. */
function paced(ask: Ask, paceMs: string | null): Request {
  const request = simRequest(ask);
  if (paceMs === null) request.headers.delete("x-sim-pace-ms");
  else request.headers.set("x-sim-pace-ms", paceMs);
  return request;
}

/** Milliseconds until the headers, and from there to the end. */
async function timed(request: Request): Promise<[number, number]> {
  const start = performance.now();
  const response = await settle(simulatorFetch(request));
  const headers = performance.now();
  await settle(response.text());
  return [headers - start, performance.now() - headers];
}

const echo = { model: "sim/echo", prompt: "one two three" };
const streaming = { stream: true };

describe("pace", () => {
  it("is a model's unless told otherwise: in a stream, and before a plain answer", async () => {
    expect(await timed(paced({ ...echo, body: streaming }, null))).toEqual([0, 60 + 2 * 15]);
    expect(await timed(paced(echo, null))).toEqual([60 + 2 * 15, 0]);
  });

  it("is what the header says, 0 for at once", async () => {
    expect(await timed(paced({ ...echo, body: streaming }, "2"))).toEqual([0, 8 + 2 * 2]);
    expect(await timed(paced({ ...echo, body: streaming }, "0"))).toEqual([0, 0]);
    expect(await timed(paced(echo, "0"))).toEqual([0, 0]);
  });

  it("is shared by choices that speak side by side", async () => {
    expect(await timed(paced({ ...echo, body: { stream: true, n: 3 } }, "2"))).toEqual([0, 8 + 2 * 2]);
  });

  it("headers, first, wait and pace of a script add up", async () => {
    const prompt = "headers 100\nfirst 20\nsay one two\nwait 300\npace 5\nsay  three four";
    const script = { model: "sim/script", prompt };
    expect(await timed(simRequest({ ...script, body: streaming }))).toEqual([100, 20 + 300 + 5 + 5]);
    expect(await timed(simRequest(script))).toEqual([100 + 20 + 300 + 5 + 5, 0]);
  });

  it("a comment does not wait for the first token", async () => {
    const script = { model: "sim/script", prompt: "first 5000\ncomment working\nsay x", body: streaming };
    const reader = (await simulatorFetch(simRequest(script))).body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(": working\n\n");
    await reader?.cancel();
  });
});

describe("leaving", () => {
  it("by cancelling the body stops its timers", async () => {
    const response = await simulatorFetch(paced({ ...echo, body: streaming }, null));
    const reader = response.body?.getReader();
    const pending = reader?.read();
    await turnUntil(() => vi.getTimerCount() === 1);
    await reader?.cancel();
    expect(vi.getTimerCount()).toBe(0);
    expect(await pending).toMatchObject({ done: true });
  });

  it("by aborting the request fails the body with the signal's reason and stops its timers", async () => {
    const controller = new AbortController();
    const response = await simulatorFetch(paced({ ...echo, body: streaming, signal: controller.signal }, null));
    const read = expect(response.text()).rejects.toThrow("enough");
    await turnUntil(() => vi.getTimerCount() === 1);
    controller.abort(new Error("enough"));
    await read;
    expect(vi.getTimerCount()).toBe(0);
  });

  it("by aborting before the headers, or beforehand, rejects with the signal's reason", async () => {
    const controller = new AbortController();
    const answer = expect(simulatorFetch(paced({ ...echo, signal: controller.signal }, null))).rejects.toThrow(
      "enough",
    );
    await turnUntil(() => vi.getTimerCount() === 1);
    controller.abort(new Error("enough"));
    await answer;
    expect(vi.getTimerCount()).toBe(0);
    const aborted = AbortSignal.abort(new Error("early"));
    await expect(simulatorFetch(simRequest({ ...echo, signal: aborted }))).rejects.toThrow("early");
  });

  it("leaves no listener on the signal behind, however many pauses there were", async () => {
    const { signal } = new AbortController();
    const added = vi.spyOn(signal, "addEventListener");
    const removed = vi.spyOn(signal, "removeEventListener");
    await settle(sleep(5, signal));
    expect([added.mock.calls.length, removed.mock.calls.length]).toEqual([1, 1]);
    expect(removed.mock.calls[0]?.[1]).toBe(added.mock.calls[0]?.[1]);
  });
});
