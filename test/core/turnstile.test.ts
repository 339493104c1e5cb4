import { describe, expect, it, vi } from "vitest";
import { Turnstile } from "../../src/core/turnstile.ts";

/** Work that ends when the test says so. */
function aWorker() {
  const log: string[] = [];
  const ends = new Map<string, () => void>();
  const work = (name: string) => async () => {
    log.push(`${name} begins`);
    await new Promise<void>((resolve) => ends.set(name, resolve));
    log.push(`${name} ends`);
    return name;
  };
  return { log, work, end: (name: string) => ends.get(name)?.() };
}

describe("a turnstile", () => {
  it("lets one through after the other, also after one that fails", async () => {
    const turnstile = new Turnstile(60_000);
    const { log, work, end } = aWorker();
    const failing = turnstile.pass(async () => {
      await work("first")();
      throw new Error("broken");
    });
    const others = [turnstile.pass(work("second")), turnstile.pass(work("third"))];
    end("first");
    await expect(failing).rejects.toThrow("broken");
    await vi.waitUntil(() => log.includes("second begins"), { interval: 1 });
    end("second");
    await vi.waitUntil(() => log.includes("third begins"), { interval: 1 });
    end("third");
    expect(await Promise.all(others)).toEqual(["second", "third"]);
    const told = ["first begins", "first ends", "second begins", "second ends", "third begins", "third ends"];
    expect(log).toEqual(told);
  });

  it("lets those through that have waited long enough for one that never ends, and the next after them", async () => {
    const turnstile = new Turnstile(20);
    const { log, work, end } = aWorker();
    void turnstile.pass(work("dead"));
    const second = turnstile.pass(work("second"));
    await vi.waitUntil(() => log.includes("second begins"), { interval: 1 });
    end("second");
    expect(await second).toBe("second");
    const third = turnstile.pass(work("third"));
    await vi.waitUntil(() => log.includes("third begins"), { interval: 1 });
    end("third");
    expect(await third).toBe("third");
    expect(log).not.toContain("dead ends");
  });
});
