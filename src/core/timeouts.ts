import type { CallTimeouts } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import type { Timeouts } from "./relay.ts";

/** The environment's timers, ms; null where it leaves them to the kind of model. */
export type TimeoutDefaults = Omit<Timeouts, "firstTokenMs" | "idleMs"> & {
  firstTokenMs: number | null;
  idleMs: number | null;
};

/** The timers of one call: the request's, else the template's, else the environment's, else the model's kind's. */
export function timeoutsFor(
  defaults: TimeoutDefaults,
  reasoning: boolean,
  ...overrides: (CallTimeouts | undefined)[]
): Timeouts {
  const chosen = Object.assign({}, ...overrides.toReversed()) as CallTimeouts;
  const ofKind = reasoning
    ? { firstTokenMs: limits.reasoningFirstTokenTimeoutMs, idleMs: limits.reasoningIdleTimeoutMs }
    : { firstTokenMs: limits.upstreamFirstTokenTimeoutMs, idleMs: limits.upstreamIdleTimeoutMs };
  return {
    headersMs: chosen.headersMs ?? defaults.headersMs,
    firstTokenMs: chosen.firstTokenMs ?? defaults.firstTokenMs ?? ofKind.firstTokenMs,
    idleMs: chosen.idleMs ?? defaults.idleMs ?? ofKind.idleMs,
    totalMs: chosen.totalMs ?? defaults.totalMs,
    firstEventHoldMs: defaults.firstEventHoldMs,
  };
}
