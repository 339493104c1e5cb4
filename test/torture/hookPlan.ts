import { type JobPlan, type Shape, scriptOf } from "./plan.ts";
import type { Random } from "./random.ts";

export const schemes = ["standard", "github", "stripe", "hmac"] as const;
export type Scheme = (typeof schemes)[number];

/** An event that a sender posts until it has been told, often enough, that it was received. */
export type HookPlan = {
  /** The run that is to come of it. */
  job: JobPlan;
  atMs: number;
  scheme: Scheme;
  /** How often the sender is told. */
  sends: number;
  /** Whether it posts at once and not one after the other. */
  together: boolean;
  /** Whether somebody else posts it too, who cannot sign. */
  forged: boolean;
};

/** What a receiver does with the first attempt of a message; every later one it takes. */
export type SinkMode =
  | "takes"
  | "fails"
  /** Has taken it, and breaks the connection before it says so. */
  | "takes and breaks"
  | "takes late"
  /** Never answers. */
  | "stalls";

const shapes: [Shape, ...Shape[]] = [
  "plain",
  "plain",
  "plain",
  "reasoning",
  "slow",
  "limited",
  "flaky",
  "cut",
  "refused",
];

export function hookPlan(random: Random, tag: string, atMs: number): HookPlan {
  const shape = random.pick(shapes);
  const job: JobPlan = {
    tag,
    shape,
    script: scriptOf(random, shape),
    atMs,
    submits: 1,
    keyed: true,
    priority: 0,
    delayMs: 0,
    onInterrupt: "keep",
    watchers: [],
    cancelMs: null,
    repeated: false,
  };
  return {
    job,
    atMs,
    scheme: random.pick(schemes),
    sends: random.whole(1, 5),
    together: random.chance(0.4),
    forged: random.chance(0.2),
  };
}

/** A receiver's modes, one a message. */
export function sinkMode(random: Random): SinkMode {
  const chance = random.next();
  if (chance < 0.6) return "takes";
  if (chance < 0.75) return "fails";
  if (chance < 0.87) return "takes and breaks";
  return chance < 0.98 ? "takes late" : "stalls";
}
