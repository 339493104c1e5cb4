import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { grouped } from "../../src/store/writeGroup.ts";

/** A database whose flights end when the test says so. */
function aDatabase() {
  const flights: { items: string[]; land: () => void; crash: (why: Error) => void }[] = [];
  const write = grouped<string, string>({
    weigh: (item) => item.length,
    write: async (items) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      flights.push({ items: [...items], land: resolve, crash: reject });
      await promise;
      return items.map((item) => `${item} written`);
    },
  });
  return { flights, write };
}

const flight = async (database: ReturnType<typeof aDatabase>, at: number) =>
  vi.waitUntil(() => database.flights[at], { interval: 1 });

describe("writes of one isolate", () => {
  it("leave at once when none is on its way, and go together when one is", async () => {
    const database = aDatabase();
    const first = database.write("a");
    const others = ["b", "c", "d"].map((item) => database.write(item));
    (await flight(database, 0)).land();
    expect(await first).toBe("a written");
    const second = await flight(database, 1);
    const last = database.write("e");
    second.land();
    expect(await Promise.all(others)).toEqual(["b written", "c written", "d written"]);
    (await flight(database, 2)).land();
    expect(await last).toBe("e written");
    expect(database.flights.map(({ items }) => items)).toEqual([["a"], ["b", "c", "d"], ["e"]]);
  });

  it("are bounded in number and in bytes together; one that is larger goes alone", async () => {
    const database = aDatabase();
    const all = [database.write("first")];
    const large = "x".repeat(limits.maxWriteGroupBytes + 1);
    const items = [large, ...Array.from({ length: limits.maxWriteGroup + 1 }, (_, at) => `${at}`)];
    all.push(...items.map((item) => database.write(item)));
    for (let at = 0; at < 4; at++) (await flight(database, at)).land();
    await Promise.all(all);
    expect(database.flights.map((each) => each.items.length)).toEqual([1, 1, limits.maxWriteGroup, 1]);
  });

  it("that fail together are tried one by one: each fails for itself alone", async () => {
    const database = aDatabase();
    const first = database.write("first");
    const good = database.write("good");
    const bad = database.write("bad").catch((thrown: Error) => thrown.message);
    (await flight(database, 0)).land();
    await first;
    (await flight(database, 1)).crash(new Error("one of them is too big"));
    (await flight(database, 2)).land();
    (await flight(database, 3)).crash(new Error("too big"));
    expect(await good).toBe("good written");
    expect(await bad).toBe("too big");
    expect(database.flights.map(({ items }) => items)).toEqual([["first"], ["good", "bad"], ["good"], ["bad"]]);
  });
});

describe("a flight whose sender died", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("is given up by those who wait for it, and those after them are not held up", async () => {
    const database = aDatabase();
    void database.write("lost");
    const waiting = database.write("waiting");
    await vi.advanceTimersByTimeAsync(limits.writePatienceMs - 1);
    expect(database.flights).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(database.flights[1]?.items).toEqual(["waiting"]);
    database.flights[1]?.land();
    expect(await waiting).toBe("waiting written");
    const next = database.write("next");
    await vi.advanceTimersByTimeAsync(0);
    database.flights[2]?.land();
    expect(await next).toBe("next written");
  });
});
