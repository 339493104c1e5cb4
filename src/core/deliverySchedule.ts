import type { DeliveryAttempt } from "../contract/deliveries.ts";
import { limits } from "../contract/limits.ts";

/** What is to be done after an attempt. */
export type AfterAttempt = { kind: "delivered" } | { kind: "again"; atMs: number } | { kind: "dead" };

export type Attempted = Pick<DeliveryAttempt, "error"> & {
  /** What the endpoint asked for with a 429 or 503; null: nothing. */
  retryAfterSeconds: number | null;
};

export type Tried = {
  /** Attempts of this round so far, the one that has just ended included; a replay begins another round. */
  tries: number;
  nowMs: number;
  /** From 0 to 1. */
  random: number;
};

/**
 * What follows an attempt: only 2xx is success, and every failure is tried again by `limits.deliveryPausesMs`, each pause
 * lengthened by up to `limits.deliveryJitter` of itself; an endpoint that asks for more time with 429 or 503 gets it.
 * After the last attempt the message is dead.
 */
export function afterAttempt(attempted: Attempted, { tries, nowMs, random }: Tried): AfterAttempt {
  if (attempted.error === null) return { kind: "delivered" };
  const pauseMs = limits.deliveryPausesMs[tries];
  if (pauseMs === undefined) return { kind: "dead" };
  const ownMs = Math.round(pauseMs * (1 + limits.deliveryJitter * random));
  const askedMs = (attempted.retryAfterSeconds ?? 0) * 1000;
  return { kind: "again", atMs: nowMs + Math.max(ownMs, askedMs) };
}

/** Statuses with which an endpoint may say when to come back (RFC 9110, RFC 6585). */
export function mayAskForTime(status: number): boolean {
  return status === 429 || status === 503;
}
