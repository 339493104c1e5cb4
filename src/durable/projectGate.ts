import { DurableObject } from "cloudflare:workers";
import type { Admission, SlotRequest } from "../core/jobSlots.ts";
import type { Env } from "../env.ts";

/** Bounds the jobs of one project that call upstreams at a time; addressed by the project's id. It admits everything. */
export class ProjectGate extends DurableObject<Env> {
  /** Takes a slot for the run, or puts it in the queue; asking again changes nothing but the slot's lease. */
  async requestSlot(_runId: string, _request: SlotRequest): Promise<Admission> {
    return "admitted";
  }

  /** Prolongs the lease of the run's slot. */
  async renewSlot(_runId: string): Promise<void> {}

  /** Frees the run's slot, or takes it out of the queue. Freeing again changes nothing. */
  async releaseSlot(_runId: string): Promise<void> {}
}
