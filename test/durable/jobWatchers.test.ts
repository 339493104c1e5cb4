import { runInDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { newId } from "../../src/core/ids.ts";
import type { JobSpec } from "../../src/core/jobSpec.ts";
import { JobLog } from "../../src/durable/jobLog.ts";
import { JobWatchers } from "../../src/durable/jobWatchers.ts";
import { jobObject } from "../support/jobs.ts";

const spec = { start: { projectId: newId("prj"), keyId: newId("key") } } as JobSpec;

it("tells a watcher nothing that the disk does not hold yet: it could be lost, and told otherwise", async () => {
  const told = await runInDurableObject(jobObject(newId("run")), async (_, { storage }) => {
    const jobLog = new JobLog(storage.sql);
    const disk = Promise.withResolvers<void>();
    const watchers = new JobWatchers(jobLog, { sync: () => disk.promise } as DurableObjectStorage);
    jobLog.begin(spec);
    jobLog.running([]);
    const telling = watchers.tell();
    const looked = watchers.watch({ afterSeq: 0, follow: false, form: "lines" });
    const early = await new Response(looked).text();
    disk.resolve();
    await telling;
    const late = await new Response(watchers.watch({ afterSeq: 0, follow: false, form: "lines" })).text();
    return { early, late };
  });
  expect(told.early).toBe("");
  expect(told.late.trim().split("\n")).toHaveLength(2);
});

it("ends a watcher that lags behind when the log is removed: it does not wait for what will never come", async () => {
  const read = await runInDurableObject(jobObject(newId("run")), async (_, { storage }) => {
    const jobLog = new JobLog(storage.sql);
    const watchers = new JobWatchers(jobLog, storage);
    jobLog.begin(spec);
    // More than is read for it at a time.
    for (let told = 0; told <= limits.watchBatchEvents; told++) jobLog.delta({ content: "x" });
    await watchers.tell();
    const stream = watchers.watch({ afterSeq: 0, follow: true, form: "lines" });
    jobLog.clear();
    await storage.deleteAll();
    return new Response(stream).text().then(
      () => "closed",
      () => "broken",
    );
  });
  expect(read).toBe("broken");
});

it("reads long events one at a time for a watcher that lags behind, short ones many at a time", async () => {
  const batches = await runInDurableObject(jobObject(newId("run")), (_, { storage }) => {
    const jobLog = new JobLog(storage.sql);
    jobLog.begin(spec);
    for (let at = 0; at < 3; at++) jobLog.delta({ content: "x".repeat(limits.maxDeltaChars) });
    for (let at = 0; at < limits.watchBatchEvents + 1; at++) jobLog.delta({ content: "x" });
    const found: number[] = [];
    for (let seq = 0, events = jobLog.eventsAfter(0, 1e6); events.length > 0; events = jobLog.eventsAfter(seq, 1e6)) {
      found.push(events.length);
      seq = events.at(-1)?.seq ?? 0;
    }
    return found;
  });
  expect(batches).toEqual([2, 1, 1, limits.watchBatchEvents, 1]);
});

it("leaves nothing open that would keep a log from being removed", async () => {
  const left = await runInDurableObject(jobObject(newId("run")), async (_, { storage }) => {
    const jobLog = new JobLog(storage.sql);
    jobLog.begin(spec);
    for (let at = 0; at < 3; at++) jobLog.delta({ content: "x".repeat(limits.maxDeltaChars) });
    const read = jobLog.eventsAfter(0, 1e6).length;
    jobLog.delta({ content: "y" });
    await storage.deleteAll();
    return [read, [...storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'events'")].length];
  });
  expect(left).toEqual([2, 0]);
});
