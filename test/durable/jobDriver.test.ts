import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it, vi } from "vitest";
import { Circuits } from "../../src/core/circuit.ts";
import { AppError } from "../../src/core/errors.ts";
import { newId } from "../../src/core/ids.ts";
import type { JobSpec } from "../../src/core/jobSpec.ts";
import { JobAlarm } from "../../src/durable/jobAlarm.ts";
import type { JobBindings } from "../../src/durable/jobBindings.ts";
import { JobDriver } from "../../src/durable/jobDriver.ts";
import { JobLog } from "../../src/durable/jobLog.ts";
import { JobOutbox } from "../../src/durable/jobOutbox.ts";
import { JobWatchers } from "../../src/durable/jobWatchers.ts";
import { jobObject } from "../support/jobs.ts";

const route = { model: "m", upstream: "u", baseUrl: "http://u.test", shared: true, headers: {}, secrets: [] };
const cancelled = () => new AppError("cancelled", "The job was cancelled.");

function aSpec(): JobSpec {
  const nowMs = Date.now();
  const start = { id: newId("run"), projectId: "prj_1", keyId: "key_1", createdAtMs: nowMs, modelAsked: "m" };
  return {
    ...{ start, models: ["m"], body: {}, timeouts: {}, variables: null, outputSchema: null, keepContents: false },
    ...{ priority: 0, projectMaxJobs: null, runAtMs: nowMs, deadlineAtMs: nowMs + 60_000, onInterrupt: "keep" },
  } as unknown as JobSpec;
}

/** Drives one job in an object, between bindings that note each call in `calls` and answer as the test says. */
function driving(
  bindings: Partial<Record<keyof JobBindings | "requestSlot", () => Promise<unknown>>>,
  work: (driver: JobDriver, calls: string[], storage: DurableObjectStorage) => Promise<void>,
): Promise<string[]> {
  const spec = aSpec();
  return runInDurableObject(jobObject(spec.start.id), async (_, { storage }) => {
    const calls: string[] = [];
    const background: Promise<unknown>[] = [];
    const noted = (name: string, answer: () => Promise<unknown>) => () => {
      calls.push(name);
      return answer();
    };
    const nothing = async () => null;
    const slots = {
      requestSlot: noted("requestSlot", bindings.requestSlot ?? (async () => "admitted")),
      releaseSlot: noted("releaseSlot", nothing),
    };
    const all = {
      ...{ slotsOf: () => slots, circuits: new Circuits(), policy: { perModel: 1, pauseMs: 1, circuitFailures: 9 } },
      ...{ settleRun: nothing, forgetSpec: nothing, priceOf: nothing },
      callUpstream: noted("callUpstream", () => Promise.reject(new Error("no upstream"))),
      routeModel: bindings.routeModel ?? (async () => route),
    } as unknown as JobBindings;
    const log = new JobLog(storage.sql);
    const alarm = new JobAlarm(storage);
    const driver = new JobDriver({
      ...{ log, alarm, bindings: all, watchers: new JobWatchers(log, storage) },
      outbox: new JobOutbox({ log, alarm, bindings: all, clear: nothing as () => Promise<never> }),
      background: (one) => background.push(one),
    });
    log.begin(spec);
    await work(driver, calls, storage);
    await Promise.all(background);
    await storage.deleteAlarm();
    await storage.deleteAll();
    return calls;
  });
}

describe("a job that is cancelled", () => {
  it("while its models are routed asks for no slot afterwards", async () => {
    const routed = Promise.withResolvers<unknown>();
    const calls = await driving({ routeModel: () => routed.promise }, async (driver) => {
      const advancing = driver.advance();
      await driver.stop(cancelled());
      routed.resolve(route);
      await advancing;
    });
    expect(calls).toEqual(["releaseSlot"]);
  });

  it("while it asks for a slot frees the one that it is given after its end", async () => {
    const granted = Promise.withResolvers<unknown>();
    const calls = await driving({ requestSlot: () => granted.promise }, async (driver, told) => {
      const advancing = driver.advance();
      await vi.waitUntil(() => told.includes("requestSlot"));
      await driver.stop(cancelled());
      granted.resolve("admitted");
      await advancing;
    });
    expect(calls).toEqual(["requestSlot", "releaseSlot", "releaseSlot"]);
  });
});
