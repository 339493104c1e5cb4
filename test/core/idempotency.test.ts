import { env } from "cloudflare:workers";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { AppError } from "../../src/core/errors.ts";
import { type IdempotencyPorts, idempotencyKey, idempotencyUseCases } from "../../src/core/idempotency.ts";
import { newId } from "../../src/core/ids.ts";
import { canonicalJson } from "../../src/core/json.ts";
import type { Principal } from "../../src/core/principal.ts";
import { database } from "../../src/store/db.ts";
import { idempotencyStore } from "../../src/store/idempotency.ts";
import { newPrincipal } from "../support/templateProject.ts";

const store = idempotencyStore(database(env.DB));
const clock = { nowMs: Date.UTC(2026, 10, 1) };
const answer = { status: 200, body: "{}", runId: "run_1", model: "m" };
const request = { key: "k", method: "POST", path: "/v1/chat/completions", body: {} };
let principal: Principal;

/** A Worker of its own over the same database. */
function worker(ports: Partial<IdempotencyPorts> = {}) {
  return idempotencyUseCases({
    ...store,
    newClaimId: () => newId("req"),
    keepAlive: () => {},
    log: () => {},
    now: () => clock.nowMs,
    ...ports,
  });
}

const code = (error: unknown) => (error instanceof AppError ? error.code : error);

beforeEach(() => {
  principal = newPrincipal();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a key whose Worker died", () => {
  /** Work that no Worker is left to end. */
  function die() {
    const working = Promise.withResolvers<void>();
    worker({ renewClaim: async () => {} })
      .once(principal, request, () => {
        working.resolve();
        return new Promise<typeof answer>(() => {});
      })
      .catch(() => {});
    return working.promise;
  }

  it("is held for a while, then free", async () => {
    await die();
    clock.nowMs += limits.claimMs - 1;
    await expect(worker().once(principal, request, async () => answer)).rejects.toMatchObject({
      code: "conflict",
      retryAfterSeconds: limits.claimRetryAfterSeconds,
    });
    clock.nowMs += 1;
    expect(await worker().once(principal, request, async () => answer)).toEqual({ replayed: false, answer });
  });

  it("goes to one of those who come then", async () => {
    await die();
    clock.nowMs += limits.claimMs;
    const work = vi.fn(async () => answer);
    const all = await Promise.all(
      Array.from({ length: 20 }, () => worker().once(principal, request, work).catch(code)),
    );
    expect(work).toHaveBeenCalledTimes(1);
    expect(all).toHaveLength(20);
  });
});

it("holds its key as long as the work lasts, however long that is", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const end = Promise.withResolvers<typeof answer>();
  const working = Promise.withResolvers<void>();
  const writes: Promise<unknown>[] = [];
  const first = worker({ keepAlive: (write) => writes.push(write) }).once(principal, request, () => {
    working.resolve();
    return end.promise;
  });
  await working.promise;
  for (let beat = 0; beat < 10; beat++) {
    clock.nowMs += limits.claimRenewMs;
    vi.advanceTimersByTime(limits.claimRenewMs);
    await Promise.all(writes);
  }
  expect(
    await worker()
      .once(principal, request, async () => answer)
      .catch(code),
  ).toBe("conflict");
  end.resolve(answer);
  expect(await first).toMatchObject({ replayed: false });
  expect(vi.getTimerCount()).toBe(0);
  expect(await worker().once(principal, request, async () => answer)).toEqual({ replayed: true, answer });
});

it("does not write over the answer of the request that has taken its key over", async () => {
  const end = Promise.withResolvers<typeof answer>();
  const working = Promise.withResolvers<void>();
  const slow = worker().once(principal, request, () => {
    working.resolve();
    return end.promise;
  });
  await working.promise;
  clock.nowMs += limits.claimMs;
  const taken = { ...answer, body: '{"taken":1}' };
  await worker().once(principal, request, async () => taken);
  end.resolve(answer);
  await slow;
  expect(await worker().once(principal, request, async () => answer)).toEqual({ replayed: true, answer: taken });
});

it.each([
  [
    "an upstream's refusal of the request",
    new AppError("invalid_request", "no", { details: { upstreamStatus: 400 } }),
    true,
  ],
  ["a refusal by weir", new AppError("invalid_request", "no"), false],
  ["a rate of the upstream", new AppError("rate_limited", "no", { details: { upstreamStatus: 429 } }), false],
  ["a spent budget", new AppError("budget_exceeded", "no"), false],
  ["a timeout", new AppError("upstream_timeout", "no"), false],
  ["what nobody foresaw", new TypeError("no"), false],
])("keeps or frees the key after %s", async (_name, thrown, kept) => {
  await expect(worker().once(principal, request, () => Promise.reject(thrown))).rejects.toBe(thrown);
  const again = await worker().once(principal, request, async () => answer);
  expect(again.replayed).toBe(kept);
});

describe("the key's text", () => {
  it("is any printable ASCII up to its length, and nothing else", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300, unit: "binary" }), (text) => {
        const good = /^[ -~]{1,255}$/.test(text) && !text.includes("\n");
        const read = () => idempotencyKey(text);
        if (good) expect(read()).toBe(text);
        else expect(read).toThrow(AppError);
      }),
    );
    expect(idempotencyKey(null)).toBeNull();
    expect(() => idempotencyKey("a\n")).toThrow(AppError);
  });
});

it("writes equal values alike and different ones differently, whatever the order of their properties", () => {
  const reversed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(reversed);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([name, inner]) => [name, reversed(inner)]),
    );
  };
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
      expect(canonicalJson(reversed(one))).toBe(canonicalJson(one));
      expect(JSON.parse(canonicalJson(one))).toEqual(JSON.parse(JSON.stringify(one)));
      if (canonicalJson(one) === canonicalJson(other))
        expect(JSON.parse(JSON.stringify(one))).toEqual(JSON.parse(JSON.stringify(other)));
    }),
  );
});
