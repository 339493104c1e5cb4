import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { TimedCache } from "../../src/core/cache.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A store whose answers come when the test says so, and requests that recall the same from it. */
function aStore(cache = new TimedCache<string>()) {
  const asked: PromiseWithResolvers<string | null>[] = [];
  const find = () => {
    const answer = Promise.withResolvers<string | null>();
    asked.push(answer);
    return answer.promise;
  };
  const recall = (requests = 1) =>
    Promise.all(Array.from({ length: requests }, () => cache.recall("key", find).catch((thrown: Error) => thrown)));
  return { cache, asked, recall };
}

const later = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe("requests that miss the same", () => {
  it("ask the store once, and it is remembered", async () => {
    const { asked, recall } = aStore();
    const together = recall(100);
    await later(1);
    asked[0]?.resolve("found");
    expect(new Set(await together)).toEqual(new Set(["found"]));
    expect(await recall(2)).toEqual(["found", "found"]);
    expect(asked).toHaveLength(1);
  });

  it("share that there is nothing, which is not remembered", async () => {
    const { asked, recall } = aStore();
    const together = recall(3);
    asked[0]?.resolve(null);
    expect(await together).toEqual([null, null, null]);
    const again = recall();
    asked[1]?.resolve("made since");
    expect(await again).toEqual(["made since"]);
  });

  it("share a failure, after which the next one asks", async () => {
    const { asked, recall } = aStore();
    const together = recall(3);
    asked[0]?.reject(new Error("down"));
    expect((await together).map(String)).toEqual(["Error: down", "Error: down", "Error: down"]);
    const again = recall();
    asked[1]?.resolve("up again");
    expect(await again).toEqual(["up again"]);
  });

  it("do not wait for ever for one that died: each asks for itself then", async () => {
    const { asked, recall } = aStore();
    void recall();
    await later(limits.lookUpPatienceMs - 1);
    const others = recall(2);
    await later(0);
    expect(asked).toHaveLength(1);
    await later(1);
    expect(asked).toHaveLength(3);
    // Whoever comes later waits for the last that asked, not for the dead one.
    const newcomer = recall();
    for (const each of asked.slice(1)) each.resolve("found");
    expect([...(await others), ...(await newcomer)]).toEqual(["found", "found", "found"]);
    expect(asked).toHaveLength(3);
  });

  it("wait for a slow store no longer than their patience and its answer take, however many they are", async () => {
    const slowMs = 5 * limits.lookUpPatienceMs;
    const cache = new TimedCache<string>();
    const find = () => new Promise<string>((resolve) => setTimeout(resolve, slowMs, "late"));
    const all = Promise.all(Array.from({ length: 100 }, () => cache.recall("key", find)));
    await later(limits.lookUpPatienceMs + slowMs);
    expect(new Set(await all)).toEqual(new Set(["late"]));
    expect(cache.get("key")).toBe("late");
  });

  it("are not told what was asked for before a change; it is not remembered either", async () => {
    const { cache, asked, recall } = aStore();
    const before = recall();
    cache.forget("k");
    const after = recall();
    asked[1]?.resolve("new");
    expect(await after).toEqual(["new"]);
    asked[0]?.resolve("old");
    expect(await before).toEqual(["old"]);
    expect(cache.get("key")).toBe("new");
  });

  it("count an answer's age from when it was asked for", async () => {
    const { cache, asked, recall } = aStore();
    const slow = recall();
    await later(limits.maxCacheAgeMs - 1);
    asked[0]?.resolve("found");
    await slow;
    expect(cache.get("key")).toBe("found");
    await later(1);
    expect(cache.get("key")).toBeUndefined();
  });

  it("ask each for itself where waiting for another is not allowed", async () => {
    const { asked, recall } = aStore(new TimedCache({ alone: true }));
    const both = recall(2);
    asked[1]?.resolve("second");
    asked[0]?.resolve("first");
    expect(await both).toEqual(["first", "second"]);
    await recall();
    expect(asked).toHaveLength(2);
  });
});
