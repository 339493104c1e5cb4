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
