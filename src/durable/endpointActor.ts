import { DurableObject } from "cloudflare:workers";
import type { Delivery, DeliveryAttempt, DeliveryDetail } from "../contract/deliveries.ts";
import { limits } from "../contract/limits.ts";
import { afterAttempt } from "../core/deliverySchedule.ts";
import { type SentAttempt, sendNotice } from "../core/deliverySending.ts";
import type { DeliveryFilter, Disabled, EndpointOwner, StoredEndpoint } from "../core/endpointPorts.ts";
import type { Notice } from "../core/webhookMessages.ts";
import type { Env } from "../env.ts";
import { log } from "../log.ts";
import { Backoff } from "./backoff.ts";
import { DeliveryTable, type DueDelivery } from "./deliveryTable.ts";
import { type EndpointBindings, endpointBindings } from "./endpointBindings.ts";
import { EndpointMemory } from "./endpointMemory.ts";
import { JobAlarm } from "./jobAlarm.ts";

/**
 * One endpoint, addressed by its id: keeps the messages to it, sends a few at a time, and decides whether anything is
 * sent at all. A message is in its SQLite from the moment it is accepted until long after its end; whatever ends the
 * object, its alarm comes back to what is left, and sends again what was on its way. See `EndpointObjects`.
 */
export class EndpointActor extends DurableObject<Env> {
  readonly #table: DeliveryTable;
  readonly #alarm: JobAlarm;
  readonly #memory: EndpointMemory;
  #bound: EndpointBindings | null = null;
  readonly #underWay = new Set<string>();
  /** Those under way that are to begin their schedule anew. */
  readonly #replayed = new Set<string>();
  /** The endpoint's record as it was then, and how often it has changed since this object began. */
  #record: { stored: StoredEndpoint; readAtMs: number } | null = null;
  #changes = 0;
  /** How often the address has changed: what an address before answers says nothing of the present one. */
  #moves = 0;
  /** Sends that could not be made or noted, as when D1 does not tell where to; nothing is sent before then. */
  readonly #stumbling: Backoff;
  #stumbles = 0;
  #heldUntilMs = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#table = new DeliveryTable(ctx.storage.sql);
    this.#alarm = new JobAlarm(ctx.storage);
    this.#stumbling = new Backoff(ctx.storage, "sending");
    this.#memory = new EndpointMemory({
      kv: ctx.storage.kv,
      alarm: this.#alarm,
      showDisabled: (owner, disabled) => this.#bindings.showDisabled(owner, disabled),
      background: (work) => ctx.waitUntil(work),
    });
  }

  /**
   * Made when first needed: with a configuration that is refused the object could not begin, and an alarm that fails is
   * repeated a few times only.
   */
  get #bindings(): EndpointBindings {
    this.#bound ??= endpointBindings(this.env);
    return this.#bound;
  }

  async accept(owner: EndpointOwner, notices: readonly Notice[], keptMs: number): Promise<void> {
    this.#memory.own(owner);
    const nowMs = Date.now();
    const unsent = this.#table.accept(notices, nowMs + keptMs, nowMs);
    if (unsent > 0) log("deliveries_dropped", { endpointId: owner.endpointId, unsent });
    this.#go();
  }

  async state(_owner: EndpointOwner) {
    const { disabled = null, failingSinceMs = null } = this.#memory.state ?? {};
    return { pending: this.#table.countIn("pending"), dead: this.#table.countIn("dead"), failingSinceMs, disabled };
  }

  async setEnabled(owner: EndpointOwner, enabled: boolean): Promise<Disabled | null> {
    this.#memory.own(owner);
    if (enabled) this.#memory.enable();
    else this.#memory.disable("requested");
    await this.#memory.show();
    this.#go();
    return this.#memory.state?.disabled ?? null;
  }

  async changed(_owner: EndpointOwner, isMoved: boolean): Promise<void> {
    this.#record = null;
    this.#changes++;
    if (isMoved) {
      this.#moves++;
      this.#memory.moved();
    }
    this.#go();
  }

  /** `test` is a name that the runtime keeps for itself. */
  async sendSample(owner: EndpointOwner, notice: Notice): Promise<DeliveryAttempt | null> {
    const stored = await this.#bindings.findEndpoint(owner);
    if (!stored || stored.endpoint.archived) return null;
    const sent = await sendNotice({ ...this.#bindings, isHeld: () => false }, stored, notice, () => {});
    return sent?.attempt ?? null;
  }

  async listDeliveries(_owner: EndpointOwner, filter: DeliveryFilter): Promise<Delivery[]> {
    return this.#table.list(filter).map((delivery) => this.#asHeld(delivery));
  }

  async findDelivery(_owner: EndpointOwner, id: string): Promise<DeliveryDetail | null> {
    const found = this.#table.find(id);
    return found && { ...found, delivery: this.#asHeld(found.delivery) };
  }

  async replay(_owner: EndpointOwner, id: string): Promise<Delivery | "disabled" | null> {
    if (!this.#table.find(id)) return null;
    if (this.#memory.isHeld) return "disabled";
    if (this.#underWay.has(id)) this.#replayed.add(id);
    else this.#table.replay(id, Date.now());
    const delivery = this.#table.find(id)?.delivery ?? null;
    this.#go();
    return delivery;
  }

  async forgetRun(_owner: EndpointOwner, runId: string): Promise<void> {
    this.#table.forgetRun(runId);
  }

  async clear(_owner?: EndpointOwner): Promise<void> {
    this.#table.clear();
    this.#memory.clear();
    this.#alarm.fired();
    this.#record = null;
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
  }

  override async alarm(): Promise<void> {
    this.#alarm.fired();
    this.ctx.waitUntil(this.#memory.show());
    this.#go();
  }

  /** Drops what is old, sends what is due as far as there is room, and sets the alarm for what comes next. */
  #go(): void {
    const { state } = this.#memory;
    if (!state) return;
    const nowMs = Date.now();
    this.#table.prune(nowMs, this.#memory.isHeld);
    if (!this.#memory.isHeld && this.#sendsFromMs() <= nowMs)
      for (const due of this.#table.due(nowMs, limits.maxSends - this.#underWay.size, this.#underWay)) {
        this.#underWay.add(due.id);
        this.ctx.waitUntil(this.#send(due));
      }
    const nextAtMs = this.#nextAtMs(nowMs);
    if (nextAtMs !== null) this.#alarm.within(Math.max(0, nextAtMs - nowMs));
  }

  async #send(due: DueDelivery): Promise<void> {
    const { id } = due;
    const [moves, stumbles] = [this.#moves, this.#stumbles];
    const isSameAddress = () => moves === this.#moves;
    try {
      const stored = await this.#findRecord();
      if (!stored) return await this.clear();
      const ports = { ...this.#bindings, isHeld: () => this.#memory.isHeld };
      // What follows from a 410 must not wait for the answer's body.
      const sent = await sendNotice(ports, stored, due, (status) => {
        if (status === 410 && isSameAddress()) this.#memory.disable("gone");
      });
      if (sent) this.#note(due, isSameAddress() ? sent : { ...sent, retryAfterSeconds: null });
      if (sent && isSameAddress()) this.#memory.attempted(sent);
    } catch (cause) {
      log("delivery_stumbled", { endpointId: this.ctx.id.name, deliveryId: id, cause });
      this.#stumbled(stumbles);
    } finally {
      this.#underWay.delete(id);
      if (this.#replayed.delete(id)) this.#table.replay(id, Date.now());
      this.#go();
    }
  }

  /** `before` is how often it had stumbled when the send began: those that fail side by side count as one. */
  #stumbled(before: number): void {
    // What has been cleared meanwhile is to stay empty.
    if (before !== this.#stumbles || !this.#memory.state) return;
    this.#stumbles++;
    this.#heldUntilMs = Date.now() + this.#stumbling.failed();
  }

  #note({ id, tries }: DueDelivery, { attempt, retryAfterSeconds }: SentAttempt): void {
    const tried = { tries: tries + 1, nowMs: Date.now(), random: Math.random() };
    this.#table.attempted(id, attempt, afterAttempt({ ...attempt, retryAfterSeconds }, tried));
  }

  /** Null: it is archived, or there is none. */
  async #findRecord(): Promise<StoredEndpoint | null> {
    const known = this.#record;
    if (known && known.readAtMs + limits.maxCacheAgeMs > Date.now()) return known.stored;
    const owner = this.#memory.state?.owner;
    const readAtMs = Date.now();
    const changes = this.#changes;
    const stored = owner ? await this.#bindings.findEndpoint(owner) : null;
    if (!stored || stored.endpoint.archived) return null;
    this.#stumbling.succeeded();
    if (changes === this.#changes) this.#record = { stored, readAtMs };
    return stored;
  }

  #sendsFromMs(): number {
    return Math.max(this.#memory.state?.pausedUntilMs ?? 0, this.#heldUntilMs);
  }

  #nextAtMs(nowMs: number): number | null {
    const mayStart = !this.#memory.isHeld && this.#underWay.size < limits.maxSends;
    const next = mayStart ? this.#table.nextAtMs(this.#underWay) : null;
    const times = [
      next === null ? null : Math.max(next, this.#sendsFromMs()),
      this.#underWay.size > 0 ? nowMs + limits.deliveryLeaseMs : null,
      this.#memory.state?.shown === false ? nowMs + limits.recordPauseMs : null,
    ].filter((time) => time !== null);
    // Old messages are dropped whenever the object is at work; it is woken for them alone where there is nothing else.
    return times.length === 0 ? this.#table.prunedAtMs(this.#memory.isHeld) : Math.min(...times);
  }

  #asHeld(delivery: Delivery): Delivery {
    return this.#memory.isHeld ? { ...delivery, nextAttemptAt: null } : delivery;
  }
}
