import { DurableObject } from "cloudflare:workers";
import type { Delivery, DeliveryAttempt, DeliveryDetail } from "../contract/deliveries.ts";
import type { DisabledReason } from "../contract/endpoints.ts";
import { limits } from "../contract/limits.ts";
import { afterAttempt } from "../core/deliverySchedule.ts";
import { type SentAttempt, sendNotice } from "../core/deliverySending.ts";
import type { DeliveryFilter, Disabled, EndpointOwner, StoredEndpoint } from "../core/endpointPorts.ts";
import type { Notice } from "../core/webhookMessages.ts";
import type { Env } from "../env.ts";
import { log } from "../log.ts";
import { DeliveryTable, type DueDelivery } from "./deliveryTable.ts";
import { type EndpointBindings, endpointBindings } from "./endpointBindings.ts";
import { JobAlarm } from "./jobAlarm.ts";

/** What the object knows of its endpoint beside the messages. */
type Memory = {
  owner: EndpointOwner;
  /** Whether anything is sent is decided here; D1 shows a copy. */
  disabled: Disabled | null;
  /** Whether D1 shows it. */
  shown: boolean;
  failingSinceMs: number | null;
  /** The endpoint asked for time until then, for whatever there is to send. */
  pausedUntilMs: number;
};

/**
 * One endpoint, addressed by its id: keeps the messages to it, sends a few at a time, and decides whether anything is
 * sent at all. A message is in its SQLite from the moment it is accepted until long after its end; whatever ends the
 * object, its alarm comes back to what is left, and sends again what was on its way. See `EndpointObjects`.
 */
export class EndpointActor extends DurableObject<Env> {
  readonly #table: DeliveryTable;
  readonly #alarm: JobAlarm;
  readonly #bindings: EndpointBindings;
  readonly #underWay = new Set<string>();
  #memory: Memory | null;
  /** The endpoint's record, as it was then. */
  #record: { stored: StoredEndpoint; readAtMs: number } | null = null;
  /** Tells whether what has been read of it meanwhile is old. */
  #changes = 0;
  /** D1 could not be asked for it, so often in a row: not to be asked again before then. */
  #misses = 0;
  #heldUntilMs = 0;
  #showing = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#table = new DeliveryTable(ctx.storage.sql);
    this.#alarm = new JobAlarm(ctx.storage);
    this.#bindings = endpointBindings(env);
    this.#memory = ctx.storage.kv.get<Memory>("memory") ?? null;
  }

  async accept(owner: EndpointOwner, notices: readonly Notice[], keptMs: number): Promise<void> {
    this.#own(owner);
    const nowMs = Date.now();
    this.#table.accept(notices, nowMs + keptMs, nowMs);
    this.#go();
  }

  async state(owner: EndpointOwner) {
    const { disabled, failingSinceMs } = this.#memory ?? fresh(owner);
    return { pending: this.#table.countIn("pending"), dead: this.#table.countIn("dead"), failingSinceMs, disabled };
  }

  async setEnabled(owner: EndpointOwner, enabled: boolean): Promise<Disabled | null> {
    this.#own(owner);
    if (enabled) this.#remember({ disabled: null, failingSinceMs: null, pausedUntilMs: 0, shown: false });
    else this.#disable("requested");
    await this.#show();
    this.#go();
    return this.#memory?.disabled ?? null;
  }

  async changed(_owner: EndpointOwner): Promise<void> {
    this.#record = null;
    this.#changes++;
  }

  /** `test` is a name that the runtime keeps for itself. */
  async sendSample(owner: EndpointOwner, notice: Notice): Promise<DeliveryAttempt | null> {
    const stored = await this.#bindings.findEndpoint(owner);
    if (!stored || stored.endpoint.archived) return null;
    const sent = await sendNotice({ ...this.#bindings, isHeld: () => false }, stored, notice, () => {});
    return sent?.attempt ?? null;
  }

  async listDeliveries(_owner: EndpointOwner, filter: DeliveryFilter): Promise<Delivery[]> {
    return this.#table.list(filter).map((delivery) => this.#asShown(delivery));
  }

  async findDelivery(_owner: EndpointOwner, id: string): Promise<DeliveryDetail | null> {
    const found = this.#table.find(id);
    return found && { ...found, delivery: this.#asShown(found.delivery) };
  }

  async replay(_owner: EndpointOwner, id: string): Promise<Delivery | "disabled" | null> {
    if (!this.#table.find(id)) return null;
    if (this.#memory?.disabled) return "disabled";
    if (!this.#underWay.has(id)) this.#table.replay(id, Date.now());
    const delivery = this.#table.find(id)?.delivery ?? null;
    this.#go();
    return delivery;
  }

  async forgetRun(_owner: EndpointOwner, runId: string): Promise<void> {
    this.#table.forgetRun(runId);
  }

  async clear(_owner: EndpointOwner): Promise<void> {
    this.#table.clear();
    this.#memory = null;
    this.#record = null;
    this.#alarm.fired();
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
  }

  override async alarm(): Promise<void> {
    this.#alarm.fired();
    if (this.#memory?.shown === false) this.ctx.waitUntil(this.#show());
    this.#go();
  }

  /** Drops what is old, sends what is due as far as there is room, and sets the alarm for what comes next. */
  #go(): void {
    if (!this.#memory) return;
    const nowMs = Date.now();
    this.#table.prune(nowMs, this.#memory.disabled !== null);
    if (!this.#memory.disabled && this.#sendsFromMs() <= nowMs)
      for (const due of this.#table.due(nowMs, limits.maxSends - this.#underWay.size, this.#underWay)) {
        this.#underWay.add(due.id);
        this.ctx.waitUntil(this.#send(due));
      }
    const nextAtMs = this.#nextAtMs(this.#memory, nowMs);
    if (nextAtMs !== null) this.#alarm.within(Math.max(0, nextAtMs - nowMs));
  }

  async #send(due: DueDelivery): Promise<void> {
    try {
      const stored = await this.#findRecord();
      if (!stored) return await this.#drop();
      const ports = { ...this.#bindings, isHeld: () => this.#memory?.disabled !== null };
      // What follows from a 410 must not wait for the answer's body.
      const sent = await sendNotice(ports, stored, due, (status) => {
        if (status === 410) this.#disable("gone");
      });
      if (sent) this.#note(due, sent);
    } catch (cause) {
      log("delivery_stumbled", { endpointId: this.ctx.id.name, deliveryId: due.id, cause });
      const pauseMs = Math.min(limits.maxRecordPauseMs, limits.recordPauseMs * 2 ** this.#misses++);
      this.#heldUntilMs = Date.now() + pauseMs;
    } finally {
      this.#underWay.delete(due.id);
      this.#go();
    }
  }

  #note(due: DueDelivery, { attempt, retryAfterSeconds }: SentAttempt): void {
    if (!this.#memory) return;
    const nowMs = Date.now();
    const tried = { tries: due.tries + 1, nowMs, random: Math.random() };
    this.#table.attempted(due.id, attempt, afterAttempt({ ...attempt, retryAfterSeconds }, tried));
    const failingSinceMs = attempt.error === null ? null : (this.#memory.failingSinceMs ?? nowMs);
    const pausedUntilMs = Math.max(this.#memory.pausedUntilMs, nowMs + (retryAfterSeconds ?? 0) * 1000);
    if (failingSinceMs !== this.#memory.failingSinceMs) this.#remember({ failingSinceMs });
    if (retryAfterSeconds !== null) this.#remember({ pausedUntilMs });
    if (failingSinceMs !== null && nowMs - failingSinceMs >= limits.endpointFailingMs) this.#disable("failing");
  }

  /** From now on no request is made. */
  #disable(reason: DisabledReason): void {
    if (!this.#memory || this.#memory.disabled) return;
    this.#remember({ disabled: { reason, atMs: Date.now() }, shown: false });
    log("endpoint_disabled", { endpointId: this.ctx.id.name, reason });
    this.ctx.waitUntil(this.#show());
  }

  /** Has D1 show what holds; the alarm comes back to it if that fails. */
  async #show(): Promise<void> {
    if (this.#showing) return;
    this.#showing = true;
    try {
      while (this.#memory?.shown === false) {
        const { owner, disabled } = this.#memory;
        await this.#bindings.showDisabled(owner, disabled);
        if (this.#memory?.disabled?.atMs === disabled?.atMs) this.#remember({ shown: true });
      }
    } catch (cause) {
      log("endpoint_not_shown", { endpointId: this.ctx.id.name, cause });
      this.#alarm.within(limits.recordPauseMs);
    } finally {
      this.#showing = false;
    }
  }

  /** Null: it is archived, or there is none. */
  async #findRecord(): Promise<StoredEndpoint | null> {
    const known = this.#record;
    if (known && known.readAtMs + limits.maxCacheAgeMs > Date.now()) return known.stored;
    const owner = this.#memory?.owner;
    const readAtMs = Date.now();
    const changes = this.#changes;
    const stored = owner ? await this.#bindings.findEndpoint(owner) : null;
    if (!stored || stored.endpoint.archived) return null;
    this.#misses = 0;
    if (changes === this.#changes) this.#record = { stored, readAtMs };
    return stored;
  }

  async #drop(): Promise<void> {
    if (this.#memory) await this.clear(this.#memory.owner);
  }

  #sendsFromMs(): number {
    return Math.max(this.#memory?.pausedUntilMs ?? 0, this.#heldUntilMs);
  }

  #nextAtMs({ disabled, shown }: Memory, nowMs: number): number | null {
    const hasRoom = this.#underWay.size < limits.maxSends;
    const next = disabled || !hasRoom ? null : this.#table.nextAtMs(this.#underWay);
    const times = [
      next === null ? null : Math.max(next, this.#sendsFromMs()),
      this.#underWay.size > 0 ? nowMs + limits.deliveryLeaseMs : null,
      shown ? null : nowMs + limits.recordPauseMs,
    ].filter((time) => time !== null);
    // Old messages are dropped whenever the object is at work; it is woken for them alone where there is nothing else.
    return times.length === 0 ? this.#table.prunedAtMs(disabled !== null) : Math.min(...times);
  }

  #asShown(delivery: Delivery): Delivery {
    return this.#memory?.disabled ? { ...delivery, nextAttemptAt: null } : delivery;
  }

  #own(owner: EndpointOwner): void {
    if (!this.#memory) {
      this.#memory = fresh(owner);
      this.#remember({});
    } else if (this.#memory.owner.projectId !== owner.projectId) throw new Error("the endpoint is another project's");
  }

  #remember(change: Partial<Memory>): void {
    if (!this.#memory) return;
    this.#memory = { ...this.#memory, ...change };
    this.ctx.storage.kv.put("memory", this.#memory);
  }
}

function fresh(owner: EndpointOwner): Memory {
  return { owner, disabled: null, shown: true, failingSinceMs: null, pausedUntilMs: 0 };
}
