import { describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { afterAttempt, mayAskForTime } from "../../src/core/deliverySchedule.ts";

const failed = { status: 500, error: "status", retryAfterSeconds: null } as const;
const nowMs = 1_700_000_000_000;
const next = (tries: number, random: number, more = {}) =>
  afterAttempt({ ...failed, ...more }, { tries, nowMs, random });
const seconds = (...all: number[]) => all.map((one) => one * 1000);

describe("what follows an attempt", () => {
  it("is 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h of waiting, then nothing", () => {
    const waits = [1, 2, 3, 4, 5, 6, 7].map((tries) => {
      const then = next(tries, 0);
      return then.kind === "again" ? then.atMs - nowMs : null;
    });
    expect(waits).toEqual(seconds(5, 300, 1_800, 7_200, 18_000, 36_000, 36_000));
    expect(next(8, 0)).toEqual({ kind: "dead" });
    expect(limits.deliveryPausesMs[0]).toBe(0);
  });

  it("is longer by up to a fifth, never shorter", () => {
    expect(next(1, 0.5)).toMatchObject({ atMs: nowMs + 5_500 });
    expect(next(1, 1)).toMatchObject({ atMs: nowMs + 6_000 });
  });

  it("is what the endpoint asks for where that is longer", () => {
    expect(next(1, 0, { status: 429, retryAfterSeconds: 60 })).toMatchObject({ atMs: nowMs + 60_000 });
    expect(next(2, 0, { status: 503, retryAfterSeconds: 60 })).toMatchObject({ atMs: nowMs + 300_000 });
    expect(next(8, 0, { status: 429, retryAfterSeconds: 60 })).toMatchObject({ kind: "dead" });
  });

  it("is nothing after a success, whichever attempt it was", () => {
    for (const tries of [1, 8]) expect(next(tries, 0, { status: 204, error: null })).toEqual({ kind: "delivered" });
  });

  it("is the same for every kind of failure", () => {
    for (const more of [{ status: 410 }, { status: 302 }, { status: null, error: "timeout" }])
      expect(next(1, 0, more)).toEqual({ kind: "again", atMs: nowMs + 5_000 });
  });

  it("heeds Retry-After with 429 and 503 alone", () => {
    expect([200, 302, 400, 429, 500, 503].filter(mayAskForTime)).toEqual([429, 503]);
  });
});
