import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { Circuits } from "../../src/core/circuit.ts";
import { newId } from "../../src/core/ids.ts";
import type { JobSpec } from "../../src/core/jobSpec.ts";
import { Backoff } from "../../src/durable/backoff.ts";
import { JobAlarm } from "../../src/durable/jobAlarm.ts";
import type { JobBindings } from "../../src/durable/jobBindings.ts";
import { JobDriver } from "../../src/durable/jobDriver.ts";
import { JobLog } from "../../src/durable/jobLog.ts";
import { JobOutbox } from "../../src/durable/jobOutbox.ts";
import { JobWatchers } from "../../src/durable/jobWatchers.ts";
import { jobObject } from "../support/jobs.ts";

const route = { model: "m", upstream: "u", baseUrl: "http://u.test", shared: true, headers: {}, secrets: [] };

const deadlineMs = 60_000;
/** What a busy machine may take between setting an alarm and looking at it. */
const slackMs = 250;

function aSpec(): JobSpec {
  const nowMs = Date.now();
  const start = { id: newId("run"), projectId: "prj_1", keyId: "key_1", createdAtMs: nowMs, modelAsked: "m" };
  return {
    ...{ start, models: ["m"], body: {}, timeouts: {}, variables: null, outputSchema: null, keepContents: false },
    ...{ priority: 0, projectMaxJobs: null, runAtMs: nowMs, deadlineAtMs: nowMs + deadlineMs, onInterrupt: "keep" },
  } as unknown as JobSpec;
}

/** Drives one job in an object, between bindings that note each call in `calls` and answer as the test says. */
function driving(
  bindings: Partial<Record<keyof JobBindings | "requestSlot", () => Promise<unknown>>>,
  work: (aDriver: () => JobDriver, calls: string[], storage: DurableObjectStorage) => Promise<void>,
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
    const aDriver = () =>
      new JobDriver({
        ...{ log, alarm, bindings: all, watchers: new JobWatchers(log, storage) },
        outbox: new JobOutbox({ log, alarm, bindings: all, clear: nothing as () => Promise<never> }),
        routing: new Backoff(storage, "routing"),
        background: (one) => background.push(one),
      });
    log.begin(spec);
    await work(aDriver, calls, storage);
    await Promise.all(background);
    await storage.deleteAlarm();
    await storage.deleteAll();
    return calls;
  });
}

describe("a job that is cancelled", () => {
  it("while its models are routed asks for no slot afterwards", async () => {
    const routed = Promise.withResolvers<unknown>();
    const calls = await driving({ routeModel: () => routed.promise }, async (aDriver) => {
      const driver = aDriver();
      const advancing = driver.advance();
      await driver.cancel();
      routed.resolve(route);
      await advancing;
    });
    expect(calls).toEqual(["releaseSlot"]);
  });

  it("while it asks for a slot frees the one that it is given after its end", async () => {
    const granted = Promise.withResolvers<unknown>();
    const calls = await driving({ requestSlot: () => granted.promise }, async (aDriver, told) => {
      const driver = aDriver();
      const advancing = driver.advance();
      await vi.waitUntil(() => told.includes("requestSlot"));
      await driver.cancel();
      granted.resolve("admitted");
      await advancing;
    });
    expect(calls).toEqual(["requestSlot", "releaseSlot", "releaseSlot"]);
  });
});

describe("a job whose models cannot be routed", () => {
  it("is tried again after pauses that double to a bound, whatever becomes of its object meanwhile", async () => {
    const pausesMs: number[] = [];
    let fails = true;
    const routeModel = () => (fails ? Promise.reject(new Error("D1_ERROR: overloaded")) : Promise.resolve(route));
    await driving({ routeModel }, async (aDriver, _, storage) => {
      const pause = async () => {
        // As after an eviction, each try is made by an instance of its own.
        await aDriver().advance();
        return ((await storage.getAlarm()) ?? 0) - Date.now();
      };
      for (let tries = 0; tries < 6; tries++) pausesMs.push(await pause());
      fails = false;
      await aDriver().advance();
    });
    for (const [failures, pauseMs] of pausesMs.entries()) {
      expect(pauseMs).toBeLessThanOrEqual(limits.recordPauseMs * 2 ** failures);
      expect(pauseMs).toBeGreaterThan(limits.recordPauseMs * 2 ** (failures - 1) - slackMs);
    }
  });

  it("counts anew once they have been, and never waits beyond its deadline", async () => {
    const routes = [false, false, true, false];
    const routeModel = () => (routes.shift() ? Promise.resolve(route) : Promise.reject(new Error("D1_ERROR")));
    const requestSlot = async () => "waiting";
    await driving({ routeModel, requestSlot }, async (aDriver, _, storage) => {
      for (let tries = 0; tries < 4; tries++) await aDriver().advance();
      expect(((await storage.getAlarm()) ?? 0) - Date.now()).toBeLessThanOrEqual(limits.recordPauseMs);
    });
    for (let failures = 0; failures < 12; failures++) routes.push(false);
    await driving({ routeModel }, async (aDriver, _, storage) => {
      for (let tries = 0; tries < 12; tries++) await aDriver().advance();
      expect(((await storage.getAlarm()) ?? 0) - Date.now()).toBeLessThanOrEqual(deadlineMs);
    });
  });
});
