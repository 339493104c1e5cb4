import { DurableObject } from "cloudflare:workers";
import type { Admission, SlotRequest } from "../core/jobSlots.ts";
import type { Env } from "../env.ts";
import { log } from "../log.ts";
import type { JobActor } from "./jobActor.ts";
import { JobAlarm } from "./jobAlarm.ts";
import { SlotTable } from "./slotTable.ts";

/**
 * Bounds the jobs of one project that call upstreams at a time; addressed by the project's id. Slots and queue are in
 * its SQLite, so that they outlive it; the alarm takes back slots that nobody renews. All methods may be repeated.
 */
export class ProjectGate extends DurableObject<Env> {
  readonly #slots: SlotTable;
  readonly #alarm: JobAlarm;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#slots = new SlotTable(ctx.storage.sql, Date.now());
    this.#alarm = new JobAlarm(ctx.storage);
  }

  /** Takes a slot for the run, or puts it in the queue; asking again changes nothing but the slot's lease. */
  async requestSlot(runId: string, request: SlotRequest): Promise<Admission> {
    return this.#turn((nowMs) => this.#slots.request(runId, request, nowMs));
  }

  /** Prolongs the lease of the run's slot. */
  async renewSlot(runId: string): Promise<void> {
    this.#turn((nowMs) => this.#slots.renew(runId, nowMs));
  }

  /** Frees the run's slot, or takes it out of the queue. Freeing again changes nothing. */
  async releaseSlot(runId: string): Promise<void> {
    this.#turn(() => this.#slots.release(runId));
  }

  /** Those of the runs that have a slot or wait for one. */
  async knownJobs(runIds: readonly string[]): Promise<string[]> {
    return this.#slots.known(runIds);
  }

  override async alarm(): Promise<void> {
    this.#alarm.fired();
    this.#turn(() => {});
  }

  /** Does something to the slots, then lets in whoever may come in for it. */
  #turn<Result>(act: (nowMs: number) => Result): Result {
    const nowMs = Date.now();
    // A job that is late with its word has still a slot if nobody else is given it before.
    const result = act(nowMs);
    const leaked = this.#slots.reclaim(nowMs);
    if (leaked.length > 0) log("slots_reclaimed", { projectId: this.ctx.id.name, runIds: leaked });
    this.#slots.admitWaiting(nowMs);
    const leaseEndMs = this.#slots.firstLeaseEndMs();
    if (leaseEndMs !== null) this.#alarm.within(leaseEndMs - nowMs);
    for (const runId of this.#slots.toCall()) this.ctx.waitUntil(this.#call(runId));
    return result;
  }

  /** Tells a job that it has a slot; one that cannot be told, or has no use for it, makes way for the next. */
  async #call(runId: string): Promise<void> {
    const wanted = await this.#admit(runId)
      .catch(() => this.#admit(runId))
      .catch((cause: unknown) => {
        // It asks again by itself, within the time of a lease.
        log("job_not_admitted", { runId, cause });
        return false;
      });
    this.#turn((nowMs) => (wanted ? this.#slots.told(runId, nowMs) : this.#slots.withdraw(runId)));
  }

  /** By a stub of its own: one whose call has failed is done for. */
  #admit(runId: string): Promise<boolean> {
    const actors = this.env.JOBS as DurableObjectNamespace<JobActor>;
    return actors.get(actors.idFromName(runId)).admitted();
  }
}
