import { describe, expect, it, vi } from "vitest";
import type { BatchStatus } from "../../src/contract/jobBatches.ts";
import type { Notice } from "../../src/core/webhookMessages.ts";
import { BatchEnd } from "../../src/durable/batchEnd.ts";

const batch = { projectId: "prj_1", batchId: "bat_1" };
const total = 1_000;

/** A batch whose jobs end one by one, and what is known of its end. */
function endingBatch() {
  const kept = new Map<string, unknown>();
  const kv = {
    get: (key: string) => structuredClone(kept.get(key)),
    put: (key: string, value: unknown) => void kept.set(key, structuredClone(value)),
    delete: (key: string) => kept.delete(key),
  } as unknown as SyncKvStorage;
  const state = { ended: 0 };
  const notices: Notice[] = [];
  const countBatch = vi.fn(async (): Promise<BatchStatus> => {
    const { ended } = state;
    const rest = { failed: 0, cancelled: 0, interrupted: 0, running: 0 };
    const createdAt = new Date(0).toISOString();
    return { batchId: "bat_1", createdAt, total, succeeded: ended, queued: total - ended, ...rest };
  });
  const acceptNotices = vi.fn(async (_owner: unknown, accepted: readonly Notice[]) => void notices.push(...accepted));
  const listeners = [{ endpointId: "end_1", events: ["batch.completed" as const] }];
  const findListeners = async () => ({ listeners, retentionDays: null });
  return {
    state,
    notices,
    countBatch,
    acceptNotices,
    /** The object anew, as after a crash. */
    anew: () => new BatchEnd(kv, { countBatch, findListeners, acceptNotices }),
  };
}

describe("the end of a batch of 1,000", () => {
  it("is found by asking D1 a few times, and told once", async () => {
    const { state, notices, countBatch, anew } = endingBatch();
    const end = anew();
    for (state.ended = 1; state.ended <= total; state.ended++)
      if (end.jobEnded(batch, undefined)) await end.advance(state.ended);
    expect(notices).toHaveLength(1);
    expect(JSON.parse(notices[0]?.body ?? "")).toMatchObject({ type: "batch.completed", data: { succeeded: total } });
    expect(countBatch.mock.calls.length).toBeLessThanOrEqual(3);
    expect(end.jobEnded(batch, undefined)).toBe(false);
  });

  it("is found when every job tells twice, and each time the object begins anew", async () => {
    const { state, notices, countBatch, anew } = endingBatch();
    for (state.ended = 1; state.ended <= total; state.ended++)
      for (let telling = 0; telling < 2; telling++)
        if (anew().jobEnded(batch, undefined)) await anew().advance(state.ended);
    expect(notices).toHaveLength(1);
    expect(countBatch.mock.calls.length).toBeLessThanOrEqual(15);
  });

  it("is found although some ended while nobody listened, or were deleted before they could tell", async () => {
    const { state, notices, anew } = endingBatch();
    let alarmAtMs: number | null = null;
    for (state.ended = 1; state.ended <= total; state.ended++) {
      if (state.ended > 1 && state.ended < 500) continue;
      if (anew().jobEnded(batch, undefined)) alarmAtMs = await anew().advance(state.ended);
    }
    state.ended = total;
    expect(notices).toHaveLength(0);
    expect(alarmAtMs).toBeGreaterThan(total);
    expect(await anew().advance(total)).toBe(alarmAtMs);
    await anew().advance(alarmAtMs ?? 0);
    expect(notices).toHaveLength(1);
  });

  it("is told again, to the letter, when the endpoint could not be reached", async () => {
    const { state, notices, acceptNotices, anew } = endingBatch();
    state.ended = total;
    acceptNotices.mockRejectedValueOnce(new Error("Network connection lost."));
    expect(anew().jobEnded(batch, undefined)).toBe(true);
    await expect(anew().advance(5_000)).rejects.toThrow("Network connection lost.");
    await anew().advance(9_000);
    await anew().advance(12_000);
    expect(notices).toHaveLength(1);
    expect(JSON.parse(notices[0]?.body ?? "").timestamp).toBe(new Date(5_000).toISOString());
    const [first, second] = acceptNotices.mock.calls.map(([, accepted]) => accepted);
    expect(second).toEqual(first);
  });
});
