import { DurableObject } from "cloudflare:workers";
import type { Env } from "../env.ts";

/** One job, addressed by its run's id. */
export class JobActor extends DurableObject<Env> {
  /** The gate lets a job in that had to wait. */
  async admitted(): Promise<void> {}
}
