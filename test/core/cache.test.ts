import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { TimedCache } from "../../src/core/cache.ts";
import { sizeOfTemplate } from "../../src/core/templateResolve.ts";
import { chat, templateProject } from "../support/templateProject.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const megabyte = 1024 * 1024;
/** The keys of `a`, `b`, … that are remembered. */
const kept = (cache: TimedCache<number>, keys: string) =>
  [...keys].filter((key) => cache.get(key) !== undefined).join("");

describe("what an isolate remembers", () => {
  it("is forgotten after its time, and begins anew when it is set again", () => {
    const cache = new TimedCache<string>();
    cache.set("a", "one");
    vi.advanceTimersByTime(limits.maxCacheAgeMs - 1);
    expect(cache.get("a")).toBe("one");
    cache.set("a", "two");
    vi.advanceTimersByTime(limits.maxCacheAgeMs - 1);
    expect(cache.get("a")).toBe("two");
    vi.advanceTimersByTime(1);
    expect(cache.get("a")).toBeUndefined();
  });

  it("gives way to the new once there are too many, the oldest first", () => {
    const cache = new TimedCache<number>();
    for (let entry = 0; entry < limits.maxCacheEntries; entry += 1) cache.set(`k${entry}`, entry);
    cache.set("k0", 0);
    cache.set("new", 1);
    expect(["k0", "k1", "k2", "new"].map((key) => cache.get(key) !== undefined)).toEqual([true, false, true, true]);
  });

  it("stays within its size, the oldest giving way", () => {
    const cache = new TimedCache<number>({ sizeOf: (bytes) => bytes });
    for (const key of "abcd") cache.set(key, 4 * megabyte);
    expect(kept(cache, "abcd")).toBe("abcd");
    cache.set("e", 5 * megabyte);
    expect(kept(cache, "abcde")).toBe("cde");
    cache.set("c", megabyte);
    cache.set("f", 6 * megabyte);
    expect(kept(cache, "cdef")).toBe("cdef");
    cache.set("g", limits.maxCacheBytes + 1);
    expect(kept(cache, "cdefg")).toBe("cdef");
    cache.set("c", limits.maxCacheBytes + 1);
    expect(kept(cache, "cdef")).toBe("def");
    cache.set("h", limits.maxCacheBytes);
    expect(kept(cache, "defh")).toBe("h");
    cache.forget("h");
    for (const key of "ab") cache.set(key, limits.maxCacheBytes / 2);
    expect(kept(cache, "ab")).toBe("ab");
  });

  it("makes room by itself once it has expired", () => {
    const cache = new TimedCache<number>({ sizeOf: (bytes) => bytes });
    for (const key of "ab") cache.set(key, 1);
    vi.advanceTimersByTime(limits.maxCacheAgeMs / 2);
    cache.set("c", 1);
    expect(cache.size).toBe(3);
    vi.advanceTimersByTime(limits.maxCacheAgeMs / 2);
    cache.set("d", 1);
    expect(cache.size).toBe(2);
    expect(kept(cache, "abcd")).toBe("cd");
  });
});

describe("the size of a template in memory", () => {
  it("is that of its texts and schemas, with those of its snippets", async () => {
    const p = templateProject();
    const text = "x".repeat(20_000);
    await p.create("snippet", { text });
    await p.create("includer", chat("{{> snippet}}"));
    await p.create("tools", { ...chat("Hi"), tools: [{ type: "function", description: text }] });
    for (const name of ["snippet", "includer", "tools"]) {
      const size = sizeOfTemplate(await p.use.resolve(p.projectId, name));
      expect(size).toBeGreaterThan(40_000);
      expect(size).toBeLessThan(42_000);
    }
  });
});
