import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import {
  inTurn,
  isLeaked,
  nextInTurn,
  offeredSlot,
  Room,
  renewedSlot,
  takenSlot,
  toldSlot,
  type WaitingJob,
} from "../../src/core/slotQueue.ts";

const upstream = fc.constantFrom("a", "b", "c");
const waiting: fc.Arbitrary<WaitingJob[]> = fc.uniqueArray(
  fc.record({
    runId: fc.integer({ min: 0, max: 99 }).map((number) => `run_${number}`),
    upstream,
    priority: fc.integer({ min: -2, max: 2 }),
    acceptedAtMs: fc.integer({ min: 0, max: 3 }),
  }),
  { selector: ({ runId }) => runId },
);
const bounds = fc.record({
  project: fc.integer({ min: 1, max: 6 }),
  upstreams: fc.dictionary(upstream, fc.integer({ min: 1, max: 4 })).map((of) => new Map(Object.entries(of))),
});

/** Who goes first among each upstream's jobs. */
const firstsOf = (jobs: readonly WaitingJob[]) =>
  [...Map.groupBy(jobs, (job) => job.upstream).values()].flatMap((group) => group.toSorted(inTurn).slice(0, 1));

describe("the turn of waiting jobs", () => {
  it("is one order, whatever order they came in: priority, then age, then id", () => {
    fc.assert(
      fc.property(waiting, (jobs) => {
        const ordered = jobs.toSorted(inTurn);
        expect(jobs.toReversed().sort(inTurn)).toEqual(ordered);
        // Priorities and times of this test have one digit each.
        const ranks = ordered.map(({ priority, acceptedAtMs, runId }) => `${5 - priority} ${acceptedAtMs} ${runId}`);
        expect(ranks).toEqual(ranks.toSorted());
      }),
    );
  });

  it("lets in as many as there is room for, each time the first of those whose upstream has some", () => {
    fc.assert(
      fc.property(waiting, bounds, fc.array(upstream, { maxLength: 4 }), (jobs, bound, held) => {
        const room = new Room(
          held.map((name) => ({ upstream: name })),
          bound,
        );
        let left = jobs;
        const inUse: string[] = [...held];
        const isFull = (name: WaitingJob["upstream"]) =>
          inUse.length >= bound.project ||
          inUse.filter((other) => other === name).length >= (bound.upstreams.get(name) ?? Number.POSITIVE_INFINITY);
        for (let next = nextInTurn(firstsOf(left), room); next; next = nextInTurn(firstsOf(left), room)) {
          const chosen = next;
          expect(left.filter((job) => !isFull(job.upstream)).sort(inTurn)[0]).toEqual(chosen);
          inUse.push(chosen.upstream);
          room.take(chosen.upstream);
          left = left.filter((job) => job !== chosen);
        }
        expect(left.filter((job) => !isFull(job.upstream))).toEqual([]);
      }),
    );
  });
});

describe("room", () => {
  it("is for the default number of jobs where a project sets none, whatever their upstreams", () => {
    const held = Array.from({ length: limits.concurrentJobs - 1 }, (_, at) => ({ upstream: `up-${at % 3}` }));
    const room = new Room(held, { project: null, upstreams: new Map([["up-0", null]]) });
    expect(room.for("up-0")).toBe(true);
    room.take("up-0");
    expect(room.any).toBe(false);
    expect(room.for("new")).toBe(false);
  });
});

describe("a slot's lease", () => {
  it("is prolonged once half of it is over, and at once when a waiting job takes its slot up", () => {
    const slot = takenSlot("a", 1_000);
    expect(renewedSlot(slot, 1_000 + limits.slotLeaseMs / 2 - 1)).toBeNull();
    const laterMs = 1_000 + limits.slotLeaseMs / 2;
    expect(renewedSlot(slot, laterMs)).toEqual(takenSlot("a", laterMs));
    expect(renewedSlot(offeredSlot("a", 1_000), 1_000)).toEqual(slot);
    expect(renewedSlot(toldSlot("a", 1_000), 1_000)).toEqual(slot);
  });

  it("is over when its time has passed, sooner for a slot that its job has not taken up", () => {
    expect(isLeaked(takenSlot("a", 0), limits.slotLeaseMs - 1)).toBe(false);
    expect(isLeaked(takenSlot("a", 0), limits.slotLeaseMs)).toBe(true);
    expect(isLeaked(offeredSlot("a", 0), limits.slotOfferMs)).toBe(true);
    expect(isLeaked(toldSlot("a", 0), limits.slotLeaseMs - 1)).toBe(false);
    expect(limits.slotOfferMs).toBeLessThan(limits.slotLeaseMs);
  });
});
