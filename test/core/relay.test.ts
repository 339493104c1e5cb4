import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { StreamGate } from "../../src/core/gate.ts";
import { relay } from "../../src/core/relay.ts";
import { delta } from "../support/call.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const utf8 = new TextEncoder();

/** A relay of an upstream that says what the test has it say, and what came out of it, with the time, ms. */
function aRelay() {
  const startMs = Date.now();
  const upstream = new TransformStream<Uint8Array, Uint8Array>();
  const writer = upstream.writable.getWriter();
  const out: { atMs: number; text: string }[] = [];
  const day = 86_400_000;
  const { body } = relay({
    channel: new TransformStream<Uint8Array, Uint8Array>(),
    open: async () => ({
      reader: upstream.readable.getReader() as never,
      gate: new StreamGate({ hideUsage: true, secrets: [], price: null }),
      passed: [],
    }),
    timeouts: { headersMs: day, firstTokenMs: day, idleMs: day, totalMs: day, firstEventHoldMs: day },
    abort: new AbortController(),
    clientGone: new AbortController().signal,
    elapsedMs: () => Date.now() - startMs,
  });
  const told = new WritableStream<Uint8Array>({
    write: (bytes) => void out.push({ atMs: Date.now() - startMs, text: new TextDecoder().decode(bytes) }),
  });
  body.pipeTo(told).catch(() => {});
  return { out, say: (text: string) => writer.write(utf8.encode(text)) };
}

it.each([10, 50, 300, 590])("comments on a silence that began after %i ms no later than it is to", async (sinceMs) => {
  const { out, say } = aRelay();
  await vi.advanceTimersByTimeAsync(sinceMs);
  void say(delta("a"));
  await vi.advanceTimersByTimeAsync(2 * limits.silenceCommentMs);
  const comments = out.filter(({ text }) => text.startsWith(":"));
  expect(comments[0]?.atMs).toBe(sinceMs + limits.silenceCommentMs);
});
