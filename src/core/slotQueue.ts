import { limits } from "../contract/limits.ts";

/** A job that waits for a slot. */
export type WaitingJob = { runId: string; upstream: string; priority: number; acceptedAtMs: number };

/** A job's slot. One that was given out of the queue is `taken` once its job has asked for it again. */
export type HeldSlot = { upstream: string; leaseUntilMs: number; taken: boolean };

/** How many jobs may call upstreams at a time. */
export type SlotBounds = {
  /** Null: `limits.concurrentJobs`. */
  project: number | null;
  /** Of each upstream by its name; null or absent: the project's bound alone. */
  upstreams: ReadonlyMap<string, number | null>;
};

/** Negative when `one` goes before `other`: the higher priority, then the one accepted earlier, then the lower id. */
export function inTurn(one: WaitingJob, other: WaitingJob): number {
  if (one.priority !== other.priority) return other.priority - one.priority;
  if (one.acceptedAtMs !== other.acceptedAtMs) return one.acceptedAtMs - other.acceptedAtMs;
  return one.runId < other.runId ? -1 : Number(one.runId > other.runId);
}

/** What is left of a project's bounds beside the slots that are held. */
export class Room {
  readonly #bounds: SlotBounds;
  readonly #heldOf = new Map<string, number>();
  #held = 0;

  constructor(held: Iterable<Pick<HeldSlot, "upstream">>, bounds: SlotBounds) {
    this.#bounds = bounds;
    for (const { upstream } of held) this.take(upstream);
  }

  /** Whether the project may have another job call an upstream, whichever. */
  get any(): boolean {
    return this.#held < (this.#bounds.project ?? limits.concurrentJobs);
  }

  for(upstream: string): boolean {
    const bound = this.#bounds.upstreams.get(upstream) ?? Number.POSITIVE_INFINITY;
    return this.any && (this.#heldOf.get(upstream) ?? 0) < bound;
  }

  take(upstream: string): void {
    this.#held++;
    this.#heldOf.set(upstream, (this.#heldOf.get(upstream) ?? 0) + 1);
  }
}

/**
 * Whose turn it is, given who goes first among the jobs of each upstream; null when nobody may be let in. Those whose
 * upstream is full keep their places and hold up nobody else.
 */
export function nextInTurn(firsts: readonly WaitingJob[], room: Room): WaitingJob | null {
  const [next] = firsts.filter(({ upstream }) => room.for(upstream)).sort(inTurn);
  return next ?? null;
}

/** A slot whose job knows of it. */
export function takenSlot(upstream: string, nowMs: number): HeldSlot {
  return { upstream, leaseUntilMs: nowMs + limits.slotLeaseMs, taken: true };
}

/** A slot whose job is yet to be called. */
export function offeredSlot(upstream: string, nowMs: number): HeldSlot {
  return { upstream, leaseUntilMs: nowMs + limits.slotOfferMs, taken: false };
}

/** A slot whose job has been called and is yet to take it up. */
export function toldSlot(upstream: string, nowMs: number): HeldSlot {
  return { ...takenSlot(upstream, nowMs), taken: false };
}

/** The slot as its job's word leaves it; null: as it is, for more than half of the lease is left, and a new one costs a row. */
export function renewedSlot({ upstream, leaseUntilMs, taken }: HeldSlot, nowMs: number): HeldSlot | null {
  return taken && leaseUntilMs - nowMs > limits.slotLeaseMs / 2 ? null : takenSlot(upstream, nowMs);
}

export function isLeaked({ leaseUntilMs }: HeldSlot, nowMs: number): boolean {
  return leaseUntilMs <= nowMs;
}
