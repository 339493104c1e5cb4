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
  it("go together when they meet, and wait for the one on its way", async () => {
    const database = aDatabase();
    const first = ["a", "b", "c"].map((item) => database.write(item));
    await flight(database, 0);
    const second = ["d", "e"].map((item) => database.write(item));
    database.flights[0]?.land();
    expect(await Promise.all(first)).toEqual(["a written", "b written", "c written"]);
    (await flight(database, 1)).land();
    expect(await Promise.all(second)).toEqual(["d written", "e written"]);
    const last = database.write("f");
    (await flight(database, 2)).land();
    expect(await last).toBe("f written");
    expect(database.flights.map(({ items }) => items)).toEqual([["a", "b", "c"], ["d", "e"], ["f"]]);
  });

  it("are bounded in number and in bytes together; one that is larger goes alone", async () => {
    const database = aDatabase();
    const large = "x".repeat(limits.maxWriteGroupBytes + 1);
    const items = ["first", large, ...Array.from({ length: limits.maxWriteGroup + 1 }, (_, at) => `${at}`)];
    const all = items.map((item) => database.write(item));
    for (let at = 0; at < 4; at++) (await flight(database, at)).land();
    await Promise.all(all);
    expect(database.flights.map((each) => each.items.length)).toEqual([1, 1, limits.maxWriteGroup, 1]);
  });

  it("that fail together are tried one by one: each fails for itself alone", async () => {
    const database = aDatabase();
    const good = database.write("good");
    const bad = database.write("bad").catch((thrown: Error) => thrown.message);
    (await flight(database, 0)).crash(new Error("one of them is too big"));
    (await flight(database, 1)).land();
    (await flight(database, 2)).crash(new Error("too big"));
    expect(await good).toBe("good written");
    expect(await bad).toBe("too big");
    expect(database.flights.map(({ items }) => items)).toEqual([["good", "bad"], ["good"], ["bad"]]);
  });
});

describe("a newcomer that arrives as a flight lands", () => {
  // How many steps of the microtask queue it comes after the landing: one of them is between two flights.
  it.each(Array.from({ length: 12 }, (_, steps) => steps))("is written, %i steps after", async (steps) => {
    const database = aDatabase();
    const first = database.write("first");
    const landing = await flight(database, 0);
    // Fills a flight alone, and is before the newcomer in the queue.
    const large = database.write("x".repeat(limits.maxWriteGroupBytes));
    landing.land();
    for (let step = 0; step < steps; step++) await null;
    const newcomer = database.write("newcomer");
    (await flight(database, 1)).land();
    (await flight(database, 2)).land();
    expect(await newcomer).toBe("newcomer written");
    await Promise.all([first, large]);
  });
});

describe("on a clock of the test's own", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("a whole group does not wait for more, in number or in bytes; less than one does", async () => {
    const database = aDatabase();
    const writes = Array.from({ length: limits.maxWriteGroup - 1 }, (_, at) => database.write(`${at}`));
    await vi.advanceTimersByTimeAsync(0);
    expect(database.flights).toEqual([]);
    writes.push(database.write("last"));
    await vi.advanceTimersByTimeAsync(0);
    expect(database.flights).toHaveLength(1);
    // What is there when a flight lands and is enough for another one follows at once.
    const large = "x".repeat(limits.maxWriteGroupBytes / 2);
    writes.push(database.write(large), database.write(large));
    database.flights[0]?.land();
    await vi.advanceTimersByTimeAsync(0);
    expect(database.flights[1]?.items).toEqual([large, large]);
    database.flights[1]?.land();
    await Promise.all(writes);
  });

  it("a flight whose sender died is given up by those who wait for it, and those after them are not held up", async () => {
    const database = aDatabase();
    void database.write("lost");
    await vi.advanceTimersByTimeAsync(limits.writeGatherMs);
    const waiting = database.write("waiting");
    await vi.advanceTimersByTimeAsync(limits.writePatienceMs - 1);
    expect(database.flights).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(database.flights[1]?.items).toEqual(["waiting"]);
    database.flights[1]?.land();
    expect(await waiting).toBe("waiting written");
    const next = database.write("next");
    await vi.advanceTimersByTimeAsync(limits.writeGatherMs);
    database.flights[2]?.land();
    expect(await next).toBe("next written");
  });
});
