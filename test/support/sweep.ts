import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { vi } from "vitest";
import type { Env } from "../../src/env.ts";
import worker from "../../src/index.ts";

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;

/** Lets the cron run as if so much time had passed, ms. */
export function sweepIn(ms: number, bindings: Partial<Env> = {}): Promise<void> {
  return laterBy(ms, () => sweepNow(bindings));
}

export async function sweepNow(bindings: Partial<Env> = {}): Promise<void> {
  await worker.scheduled(createScheduledController() as never, { ...env, ...bindings } as Env);
}

/** Does something as if so much time had passed, ms. */
export async function laterBy<T>(ms: number, work: () => Promise<T>): Promise<T> {
  vi.setSystemTime(Date.now() + ms);
  try {
    return await work();
  } finally {
    vi.useRealTimers();
  }
}
