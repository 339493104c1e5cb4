import type { DisabledReason } from "../contract/endpoints.ts";
import { limits } from "../contract/limits.ts";
import type { SentAttempt } from "../core/deliverySending.ts";
import type { Disabled, EndpointOwner, EndpointStore } from "../core/endpointPorts.ts";
import { log } from "../log.ts";
import type { JobAlarm } from "./jobAlarm.ts";

/** What an endpoint's object knows beside the messages. */
type Memory = {
  owner: EndpointOwner;
  disabled: Disabled | null;
  /** Whether D1 shows it. */
  shown: boolean;
  failingSinceMs: number | null;
  /** The endpoint asked for time until then, for whatever there is to send. */
  pausedUntilMs: number;
};

type MemoryParts = {
  kv: SyncKvStorage;
  alarm: JobAlarm;
  showDisabled: EndpointStore["showDisabled"];
  /** Keeps the object alive for work that nobody waits for. */
  background: (work: Promise<unknown>) => void;
};

/**
 * Whether anything is sent to an endpoint, and from when on: decided here, in the same step in which it becomes known, so
 * that nothing is sent after it; D1 shows a copy, which is written until it holds.
 */
export class EndpointMemory {
  readonly #parts: MemoryParts;
  #memory: Memory | null;
  #showing = false;

  constructor(parts: MemoryParts) {
    this.#parts = parts;
    this.#memory = parts.kv.get<Memory>("memory") ?? null;
  }

  /** Null: the object knows of no endpoint. */
  get state(): Readonly<Memory> | null {
    return this.#memory;
  }

  /** Whether nothing may be sent. */
  get isHeld(): boolean {
    return this.#memory?.disabled !== null;
  }

  /** The endpoint is that project's from now on. Throws when it is another's. */
  own(owner: EndpointOwner): void {
    if (this.#memory && this.#memory.owner.projectId !== owner.projectId)
      throw new Error("the endpoint is another project's");
    if (this.#memory) return;
    this.#memory = { owner, disabled: null, shown: true, failingSinceMs: null, pausedUntilMs: 0 };
    this.#keep({});
  }

  enable(): void {
    this.#keep({ disabled: null, failingSinceMs: null, pausedUntilMs: 0, shown: false });
  }

  /** It has another address: what the one before has asked for, and how long it failed, says nothing of it. */
  moved(): void {
    this.#keep({ failingSinceMs: null, pausedUntilMs: 0 });
  }

  /** From now on no request is made. */
  disable(reason: DisabledReason): void {
    if (!this.#memory || this.#memory.disabled) return;
    this.#keep({ disabled: { reason, atMs: Date.now() }, shown: false });
    log("endpoint_disabled", { endpointId: this.#memory.owner.endpointId, reason });
    this.#parts.background(this.show());
  }

  /** What an attempt says of the endpoint: how long it has failed, and the time that it asks for. */
  attempted({ attempt, retryAfterSeconds }: SentAttempt): void {
    if (!this.#memory) return;
    const nowMs = Date.now();
    const { failingSinceMs, pausedUntilMs } = this.#memory;
    const since = attempt.error === null ? null : (failingSinceMs ?? nowMs);
    // A success after a success is not worth a stored row.
    if (since !== failingSinceMs) this.#keep({ failingSinceMs: since });
    if (retryAfterSeconds !== null)
      this.#keep({ pausedUntilMs: Math.max(pausedUntilMs, nowMs + retryAfterSeconds * 1000) });
    if (since !== null && nowMs - since >= limits.endpointFailingMs) this.disable("failing");
  }

  /** Has D1 show what holds; the alarm comes back to it if that fails. */
  async show(): Promise<void> {
    if (this.#showing) return;
    this.#showing = true;
    try {
      while (this.#memory?.shown === false) {
        const { owner, disabled } = this.#memory;
        await this.#parts.showDisabled(owner, disabled);
        if (this.#memory?.disabled?.atMs === disabled?.atMs) this.#keep({ shown: true });
      }
    } catch (cause) {
      log("endpoint_not_shown", { endpointId: this.#memory?.owner.endpointId, cause });
      this.#parts.alarm.within(limits.recordPauseMs);
    } finally {
      this.#showing = false;
    }
  }

  /** The object is about to lose everything it holds. */
  clear(): void {
    this.#memory = null;
  }

  #keep(change: Partial<Memory>): void {
    if (!this.#memory) return;
    this.#memory = { ...this.#memory, ...change };
    this.#parts.kv.put("memory", this.#memory);
  }
}
