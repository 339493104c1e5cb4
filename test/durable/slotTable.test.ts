import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { newId } from "../../src/core/ids.ts";
import type { WaitingJob } from "../../src/core/slotQueue.ts";
import { type HeldSlot, inTurn, isLeaked, offeredSlot, renewedSlot, takenSlot } from "../../src/core/slotQueue.ts";
import { SlotTable } from "../../src/durable/slotTable.ts";

/** Does something with an object's database. */
const withSql = <Result>(act: (sql: SqlStorage) => Result): Promise<Result> =>
  runInDurableObject(env.GATES.get(env.GATES.idFromName(newId("prj"))), (_gate, { storage }) => act(storage.sql));

const maxOf = { a: 2, b: 1, c: null } as const;
const projectMax = 4;

/** The plainest gate that could be: two lists, looked through each time. */
class PlainGate {
  waiting: WaitingJob[] = [];
  held = new Map<string, HeldSlot>();
  called: string[] = [];

  isFull(name: string): boolean {
    const held = [...this.held.values()];
    const max = maxOf[name as keyof typeof maxOf] ?? projectMax;
    return held.length >= projectMax || held.filter(({ upstream }) => upstream === name).length >= max;
  }

  admit(nowMs: number): void {
    for (;;) {
      const [next] = this.waiting.filter(({ upstream }) => !this.isFull(upstream)).sort(inTurn);
      if (!next) return;
      this.waiting = this.waiting.filter(({ runId }) => runId !== next.runId);
      this.held.set(next.runId, offeredSlot(next.upstream, nowMs));
      this.called.push(next.runId);
    }
  }

  request(job: WaitingJob, nowMs: number): "admitted" | "waiting" {
    const slot = this.held.get(job.runId);
    if (slot) this.held.set(job.runId, renewedSlot(slot, nowMs) ?? slot);
    if (slot) return "admitted";
    const waited = this.waiting.find(({ runId }) => runId === job.runId);
    if (waited) waited.upstream = job.upstream;
    if (this.isFull(job.upstream)) {
      if (!waited) this.waiting.push({ ...job });
      return "waiting";
    }
    this.waiting = this.waiting.filter(({ runId }) => runId !== job.runId);
    this.held.set(job.runId, takenSlot(job.upstream, nowMs));
    return "admitted";
  }

  release(runId: string): void {
    if (!this.held.delete(runId)) this.waiting = this.waiting.filter((job) => job.runId !== runId);
  }

  reclaim(nowMs: number): void {
    for (const [runId, slot] of this.held) if (isLeaked(slot, nowMs)) this.held.delete(runId);
  }
}

const run = fc.integer({ min: 0, max: 15 });
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("request"), run, upstream: fc.constantFrom("a", "b", "c") }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("release"), run }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("renew"), run }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pass"), ms: fc.constantFrom(1, 9_999, 30_000, 70_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart") }) },
) as fc.Arbitrary<{
  do: "request" | "release" | "renew" | "pass" | "restart";
  run?: number;
  upstream?: string;
  ms?: number;
}>;

it("lets in whom a plain gate would, in the same turn, through leases that end and restarts", async () => {
  await withSql((sql) =>
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        for (const table of ["slots", "queue", "bounds"]) sql.exec(`DELETE FROM ${table}`);
        const plain = new PlainGate();
        let nowMs = 1_000;
        let table = new SlotTable(sql, nowMs);
        for (const { do: doing, run: number = 0, upstream = "a", ms = 0 } of steps) {
          const runId = `run_${number}`;
          const job = { runId, upstream, priority: number % 3, acceptedAtMs: number % 5 };
          const max = { project: projectMax, upstream: maxOf[upstream as keyof typeof maxOf] };
          if (doing === "pass") nowMs += ms;
          if (doing === "release") {
            table.release(runId);
            plain.release(runId);
          }
          if (doing === "request")
            expect(table.request(runId, { ...job, maxJobs: max }, nowMs)).toBe(plain.request(job, nowMs));
          if (doing === "renew") {
            const slot = plain.held.get(runId);
            expect(table.renew(runId, nowMs)).toBe(slot !== undefined);
            if (slot) plain.held.set(runId, renewedSlot(slot, nowMs) ?? slot);
          }
          if (doing === "restart") {
            table = new SlotTable(sql, nowMs);
            const untaken = [...plain.held].filter(([, { taken }]) => !taken);
            for (const [id, slot] of untaken) plain.held.set(id, offeredSlot(slot.upstream, nowMs));
            expect(table.toCall().sort()).toEqual(untaken.map(([id]) => id).sort());
          }
          const leaked = [...plain.held].filter(([, slot]) => isLeaked(slot, nowMs)).map(([id]) => id);
          expect(table.reclaim(nowMs).sort()).toEqual(leaked.sort());
          plain.reclaim(nowMs);
          table.admitWaiting(nowMs);
          plain.admit(nowMs);
          expect(table.toCall()).toEqual(plain.called.splice(0));
          const ends = [...plain.held.values()].map(({ leaseUntilMs }) => leaseUntilMs);
          expect(table.firstLeaseEndMs()).toBe(ends.length > 0 ? Math.min(...ends) : null);
        }
      }),
      { numRuns: 200 },
    ),
  );
});

/** Counts rows as the platform bills them. */
function metered(sql: SqlStorage) {
  const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  const exec: SqlStorage["exec"] = (...query) => {
    const cursor = sql.exec(...query);
    cursors.push(cursor as never);
    return cursor as never;
  };
  const sum = (count: (cursor: (typeof cursors)[number]) => number) =>
    cursors.splice(0).reduce((total, cursor) => total + count(cursor), 0);
  return {
    sql: { exec } as SqlStorage,
    written: () => sum(({ rowsWritten }) => rowsWritten),
    read: () => sum(({ rowsRead }) => rowsRead),
  };
}

const request = (at: number, upstream = "a") => ({
  priority: 0,
  acceptedAtMs: at,
  upstream,
  maxJobs: { project: null, upstream: null },
});

it("writes two rows for a job that need not wait, six for one that does, and none when they ask again", async () => {
  await withSql((sql) => {
    const meter = metered(sql);
    const table = new SlotTable(meter.sql, 0);
    table.request("run_first", request(0), 0);
    table.release("run_first");
    meter.written();
    table.request("run_short", request(0), 0);
    table.renew("run_short", 1);
    table.request("run_short", request(0), 2);
    table.release("run_short");
    table.release("run_short");
    expect(meter.written()).toBe(2);

    for (let at = 0; at < limits.concurrentJobs; at++) table.request(`run_${at}`, request(at), 0);
    meter.written();
    for (let times = 0; times < 3; times++) expect(table.request("run_late", request(99), 0)).toBe("waiting");
    const queued = meter.written();
    table.release("run_0");
    const released = 1;
    table.admitWaiting(0);
    expect(table.toCall()).toEqual(["run_late"]);
    expect(table.request("run_late", request(99), 1)).toBe("admitted");
    table.release("run_late");
    expect(queued + meter.written() - released).toBe(6);
  });
});

it("reads a few rows to find the next of thousands, also behind those whose upstream is full", async () => {
  await withSql((sql) => {
    const meter = metered(sql);
    const table = new SlotTable(meter.sql, 0);
    const full = { ...request(0, "full"), priority: 9, maxJobs: { project: null, upstream: 1 } };
    for (let at = 0; at < 2_000; at++) table.request(`run_full_${at}`, { ...full, acceptedAtMs: at }, 0);
    for (let at = 0; at < 2_000; at++) table.request(`run_${at}`, request(at), 0);
    meter.read();
    table.release("run_0");
    table.admitWaiting(0);
    expect(table.toCall()).toEqual([`run_${limits.concurrentJobs - 1}`]);
    expect(meter.read()).toBeLessThan(10);
  });
});
