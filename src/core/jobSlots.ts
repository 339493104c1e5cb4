/** What decides when a job may call upstreams: the higher priority first, then the one accepted earlier. */
export type SlotRequest = {
  priority: number;
  acceptedAtMs: number;
  /** The name of the upstream that serves the job's first model. */
  upstream: string;
  /**
   * How many jobs may call upstreams at a time, in the project and at this upstream; null where nothing is set. The
   * project's number is as old as the job, the upstream's as the request: of several, the newest holds.
   */
  maxJobs: { project: number | null; upstream: number | null };
};

/** `waiting`: the gate tells the job's actor when its turn has come. */
export type Admission = "admitted" | "waiting";

/**
 * The project's gate, which bounds how many jobs call upstreams at a time. Every call may be repeated. A slot is
 * leased: one that is not renewed for `limits.slotLeaseMs` is free again. A job that waits asks again so often, should
 * the gate's call not have reached it.
 */
export type JobSlots = {
  requestSlot: (runId: string, request: SlotRequest) => Promise<Admission>;
  renewSlot: (runId: string) => Promise<void>;
  releaseSlot: (runId: string) => Promise<void>;
};
