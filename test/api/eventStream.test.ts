import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { eventStream } from "../../src/api/openai/eventStream.ts";
import { limits } from "../../src/contract/limits.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Events that the test sends when it likes. */
function held() {
  const waiting: PromiseWithResolvers<IteratorResult<string, void>>[] = [];
  const next = () => {
    const coming = Promise.withResolvers<IteratorResult<string, void>>();
    waiting.push(coming);
    return coming.promise;
  };
  return { events: { next }, waiting };
}

it("says something at least every 15 s while there is no event, and loses none for it", async () => {
  expect(limits.eventsCommentMs).toBeLessThan(15_000);
  const { events, waiting } = held();
  const reader = eventStream(events, () => {})
    .pipeThrough(new TextDecoderStream())
    .getReader();
  for (let times = 0; times < 2; times++) {
    const read = reader.read();
    await vi.advanceTimersByTimeAsync(limits.eventsCommentMs);
    expect((await read).value).toBe(":\n\n");
  }
  waiting[0]?.resolve({ done: false, value: "id: 1\ndata: {}\n\n" });
  expect((await reader.read()).value).toBe("id: 1\ndata: {}\n\n");
  waiting[1]?.resolve({ done: true, value: undefined });
  expect((await reader.read()).done).toBe(true);
});

it("ends the events when the client leaves", async () => {
  const { events } = held();
  const leave = vi.fn();
  await eventStream(events, leave).cancel();
  expect(leave).toHaveBeenCalledOnce();
});
