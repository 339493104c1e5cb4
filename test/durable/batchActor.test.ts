import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { newId } from "../../src/core/ids.ts";
import { BatchActor } from "../../src/durable/batchActor.ts";
import type { Env } from "../../src/env.ts";
import { batchObject } from "../support/batches.ts";
import { failingD1 } from "../support/failingD1.ts";

/** What a busy machine may take between setting an alarm and looking at it. */
const slackMs = 250;

const theEnd = "tells its end";
const theJobs = "reads its jobs";

it.each([theJobs, theEnd])(
  "%s again after pauses that double while D1 fails, as an object that is evicted meanwhile",
  async (what) => {
    const batch = { projectId: newId("prj"), batchId: newId("bat") };
    const pausesMs: number[] = [];
    await runInDurableObject(batchObject(batch.batchId), async (_, state) => {
      const DB = failingD1(env.DB, { fails: () => true, when: "before" });
      const bindings = { ...env, DB } as Env;
      const actor = new BatchActor(state, bindings);
      await (what === theEnd ? actor.ended(batch, undefined) : actor.start(batch));
      for (let tries = 0; tries < 6; tries++) {
        // As after an eviction, each try is made by an instance of its own.
        await new BatchActor(state, bindings).alarm();
        pausesMs.push(((await state.storage.getAlarm()) ?? 0) - Date.now());
      }
      await state.storage.deleteAlarm();
      await state.storage.deleteAll();
    });
    expect(pausesMs).toHaveLength(6);
    for (const [failures, pauseMs] of pausesMs.entries()) {
      expect(pauseMs).toBeLessThanOrEqual(limits.recordPauseMs * 2 ** failures);
      expect(pauseMs).toBeGreaterThan(limits.recordPauseMs * 2 ** (failures - 1) - slackMs);
    }
  },
);
