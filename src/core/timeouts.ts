import type { CallTimeouts } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import { AppError } from "./errors.ts";
import type { Timeouts } from "./relay.ts";

/** The environment's timers, ms; null where it leaves them to the kind of model. */
export type TimeoutDefaults = Omit<Timeouts, "firstTokenMs" | "idleMs"> & {
  firstTokenMs: number | null;
  idleMs: number | null;
};

export type StreamClock = {
  /** Since the whole call began, since its stream was opened, since its last event; ms. */
  runningMs: number;
  openMs: number;
  silentMs: number;
  /** Whether a token has been seen. */
  begun: boolean;
};

/** The timer that an open stream has overrun; null while it is in time. */
export function overrun(timeouts: Timeouts, { runningMs, openMs, silentMs, begun }: StreamClock): AppError | null {
  const late = (message: string) => new AppError("upstream_timeout", message);
  if (runningMs >= timeouts.totalMs) return late("The completion took longer than its total time.");
  if (!begun && openMs >= timeouts.firstTokenMs) return late("The upstream sent no token in time.");
  return begun && silentMs >= timeouts.idleMs ? late("The upstream's stream fell silent.") : null;
}

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
