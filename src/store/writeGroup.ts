import { limits } from "../contract/limits.ts";

export type GroupOptions<Item, Result> = {
  /** Writes the items in one round trip, all or none of them; resolves with a result for each. May be repeated. */
  write: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** Estimated bytes of an item on its way to the database. */
  weigh: (item: Item) => number;
};

/** Its promises are made by the request that waits for them: the runtime resumes it as itself, whoever resolves them. */
type Waiting<Item, Result> = {
  item: Item;
  bytes: number;
  outcome: PromiseWithResolvers<Result>;
  /** Resolves when this one is to see to the next flight. */
  turn: PromiseWithResolvers<void>;
};

/**
 * Group commit for one isolate: what comes within `limits.writeGatherMs`, or while a write is on its way, goes together.
 *
 * The requests that share a flight are strangers: one of them sends it from its own invocation. Should that one die,
 * the others send their own after `limits.writePatienceMs`; and a group that fails is written one by one, so that
 * nobody fails for another's item.
 */
export function grouped<Item, Result>({ write, weigh }: GroupOptions<Item, Result>): (item: Item) => Promise<Result> {
  const queue: Waiting<Item, Result>[] = [];
  let flight: Promise<void> | null = null;
  /** Ends the gathering. */
  let full: PromiseWithResolvers<void> | null = null;

  function isFull(): boolean {
    const bytes = queue.reduce((total, waiting) => total + waiting.bytes, 0);
    return queue.length >= limits.maxWriteGroup || bytes >= limits.maxWriteGroupBytes;
  }

  function take(): Waiting<Item, Result>[] {
    let bytes = 0;
    const end = queue.findIndex((waiting, at) => {
      bytes += waiting.bytes;
      return at > 0 && (bytes > limits.maxWriteGroupBytes || at >= limits.maxWriteGroup);
    });
    return queue.splice(0, end === -1 ? queue.length : end);
  }

  async function settle(group: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await write(group.map(({ item }) => item));
      for (const [at, { outcome }] of group.entries()) outcome.resolve(results[at] as Result);
    } catch (thrown) {
      if (group.length === 1) group[0]?.outcome.reject(thrown);
      else for (const waiting of group) await settle([waiting]);
    }
  }

  /** Gathers a while, as nobody waits for the log, or until there is a whole group, then writes what is there. */
  async function gathered(): Promise<void> {
    const own = Promise.withResolvers<void>();
    const timer = setTimeout(own.resolve, limits.writeGatherMs);
    full = own;
    if (isFull()) own.resolve();
    await own.promise;
    clearTimeout(timer);
    await settle(take());
  }

  async function fly(): Promise<void> {
    const own = gathered();
    flight = own;
    await own;
    if (flight === own) flight = null;
    queue[0]?.turn.resolve();
  }

  /** Waits until the item has been written or it is its turn to send the next flight. */
  async function wait(waiting: Waiting<Item, Result>): Promise<Result> {
    const patience = Promise.withResolvers<"impatient">();
    const timer = setTimeout(() => patience.resolve("impatient"), limits.writePatienceMs);
    try {
      const first = await Promise.race([waiting.outcome.promise, waiting.turn.promise, patience.promise]);
      if (first === "impatient") return await alone(waiting);
    } finally {
      clearTimeout(timer);
    }
    return await board(waiting);
  }

  async function board(waiting: Waiting<Item, Result>): Promise<Result> {
    if (queue.includes(waiting)) {
      if (flight) {
        waiting.turn = Promise.withResolvers<void>();
        return await wait(waiting);
      }
      await fly();
      // Others were before it in the queue, and this flight was full: the next one is its own, or another's.
      if (queue.includes(waiting)) return await wait(waiting);
    }
    return await waiting.outcome.promise;
  }

  async function alone(waiting: Waiting<Item, Result>): Promise<Result> {
    const at = queue.indexOf(waiting);
    if (at >= 0) queue.splice(at, 1);
    flight = null;
    await settle([waiting]);
    return waiting.outcome.promise;
  }

  return async (item) => {
    const outcome = Promise.withResolvers<Result>();
    const waiting = { item, bytes: weigh(item), outcome, turn: Promise.withResolvers<void>() };
    queue.push(waiting);
    if (isFull()) full?.resolve();
    return await board(waiting);
  };
}
