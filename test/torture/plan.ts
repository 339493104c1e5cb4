import type { OnInterrupt } from "../../src/contract/jobs.ts";
import { type HookPlan, hookPlan, type SinkMode, sinkMode } from "./hookPlan.ts";
import type { Options } from "./options.ts";
import { type Random, randomFrom } from "./random.ts";

/** How the upstream answers a job's calls. */
export type Script = {
  /** Statuses of its first calls, before any that is answered. */
  refusals: number[];
  /** Seconds in the refusals' Retry-After; null: none. */
  retryAfter: number | null;
  /** Silence before the first token, ms. */
  firstMs: number;
  chunks: number;
  everyMs: number;
  kind: "text" | "reasoning" | "tools";
  /** What becomes of a stream half way through. */
  half: "goes on" | "is cut" | "stalls";
};

export const shapes = {
  plain: "succeeded",
  reasoning: "succeeded",
  tools: "succeeded",
  slow: "succeeded",
  delayed: "succeeded",
  limited: "succeeded",
  flaky: "succeeded",
  fallback: "succeeded",
  endless: "cancelled",
  cut: "failed",
  stall: "failed",
  refused: "failed",
} as const;
export type Shape = keyof typeof shapes;

export type WatcherPlan = {
  /** Joins so long after the job was accepted, ms. */
  joinMs: number;
  /** Events read on each connection before it is dropped; the one after these stays. */
  drops: number[];
};

export type JobPlan = {
  tag: string;
  shape: Shape;
  script: Script;
  /** When it is submitted, ms of the runtime's lives. */
  atMs: number;
  /** How often it is submitted at once; more than once, and again after a failure, only with a key. */
  submits: number;
  keyed: boolean;
  priority: number;
  delayMs: number;
  onInterrupt: OnInterrupt;
  watchers: WatcherPlan[];
  /** So long after it was accepted, ms. */
  cancelMs: number | null;
  /** Whether it is repeated, once those who watch it have seen its end. */
  repeated: boolean;
};

/** Jobs that are submitted together; each has watchers of its own. */
export type BatchPlan = {
  tag: string;
  atMs: number;
  submits: number;
  onInterrupt: OnInterrupt;
  jobs: JobPlan[];
  /** When what is left of it is cancelled, ms after it was accepted. */
  cancelMs: number | null;
};

export type Plan = {
  jobs: JobPlan[];
  batches: BatchPlan[];
  hooks: HookPlan[];
  /** What receivers do, message by message. */
  sinkModes: () => Generator<SinkMode, never>;
  /** How long each life of the runtime lasts, ms; killed at the end of each, and the last one is left alone. */
  livesMs: number[];
  /** When the upstream breaks, ms of the runtime's lives: open answers are reset, and so are new calls for a while. */
  outages: { atMs: number; forMs: number }[];
};

/**
 * Everything that will happen, but for the clock of the machine it happens on. Time is counted while the runtime lives,
 * so that a machine that takes long to start it does not pile jobs up.
 */
export function planOf({ seed, jobs, events, kills }: Omit<Options, "short">): Plan {
  const random = randomFrom(seed);
  const livesMs = Array.from({ length: kills }, () => random.whole(2_500, 8_000));
  const spanMs = livesMs.reduce((sum, life) => sum + life, 0);
  const all = Array.from({ length: jobs }, (_, at) => jobPlan(random, `t${seed}x${at}`, random.next() * spanMs));
  const alike = all.filter(({ shape }) => batched.includes(shape)).slice(0, Math.floor(jobs * batchedShare));
  const batches: BatchPlan[] = [];
  while (alike.length > 0) batches.push(batchPlan(random, `b${seed}x${batches.length}`, alike));
  const inBatches = new Set(batches.flatMap(({ jobs: ofBatch }) => ofBatch.map(({ tag }) => tag)));
  return {
    livesMs,
    batches,
    hooks: Array.from({ length: events }, (_, at) => hookPlan(random, `h${seed}x${at}`, random.next() * spanMs)),
    sinkModes: function* () {
      for (const modes = randomFrom(seed + 1); ; ) yield sinkMode(modes);
    },
    jobs: all.filter(({ tag }) => !inBatches.has(tag)),
    outages: Array.from({ length: Math.ceil(kills / 3) }, () => ({
      atMs: random.next() * spanMs,
      forMs: random.whole(200, 1_200),
    })),
  };
}

/** Shapes that need nothing of their own but the upstream's script. */
const batched: Shape[] = ["plain", "reasoning", "tools", "slow", "limited", "flaky", "cut", "refused"];
const batchedShare = 0.15;

/** Takes its jobs from those that are left. */
function batchPlan(random: Random, tag: string, left: JobPlan[]): BatchPlan {
  const cancelMs = random.chance(0.25) ? random.whole(0, 1_500) : null;
  const onInterrupt = random.chance(0.5) ? "restart" : "keep";
  const jobs = left.splice(0, random.whole(2, 30)).map((job) => ({ ...job, onInterrupt, keyed: true }) as const);
  return { tag, atMs: jobs[0]?.atMs ?? 0, submits: random.whole(1, 3), onInterrupt, jobs, cancelMs };
}

const shapeNames = Object.keys(shapes) as [Shape, ...Shape[]];

function jobPlan(random: Random, tag: string, atMs: number): JobPlan {
  const shape = random.chance(0.4) ? "plain" : random.pick(shapeNames);
  // Nobody could cancel one whose ticket was lost.
  const keyed = random.chance(0.8) || shape === "endless";
  return {
    tag,
    shape,
    script: scriptOf(random, shape),
    atMs,
    keyed,
    submits: keyed && random.chance(0.3) ? random.whole(2, 6) : 1,
    priority: random.whole(-3, 3),
    delayMs: shape === "delayed" ? random.whole(200, 5_000) : 0,
    onInterrupt: random.chance(0.5) ? "restart" : "keep",
    watchers: Array.from({ length: random.pick([0, 1, 1, 2, 3]) }, () => ({
      joinMs: random.chance(0.7) ? 0 : random.whole(0, 3_000),
      drops: Array.from({ length: random.whole(0, 3) }, () => random.whole(0, 6)),
    })),
    repeated: shape !== "endless" && random.chance(0.12),
    cancelMs: shape === "endless" ? random.whole(500, 4_000) : random.chance(0.06) ? random.whole(0, 2_000) : null,
  };
}

export function scriptOf(random: Random, shape: Shape): Script {
  const refusals = (status: number, count: number) => Array.from({ length: count }, () => status);
  return {
    refusals:
      shape === "limited"
        ? refusals(429, random.whole(1, 5))
        : shape === "flaky"
          ? refusals(random.pick([500, 502, 503]), random.whole(1, 2))
          : shape === "refused"
            ? refusals(400, 100)
            : [],
    retryAfter: shape === "limited" && random.chance(0.7) ? random.whole(0, 1) : null,
    firstMs: shape === "slow" ? random.whole(800, 3_000) : random.whole(0, 100),
    chunks: shape === "endless" ? 2_000 : random.whole(3, 50),
    everyMs: random.whole(5, 60),
    kind: shape === "reasoning" ? "reasoning" : shape === "tools" ? "tools" : "text",
    half: shape === "cut" ? "is cut" : shape === "stall" ? "stalls" : "goes on",
  };
}
