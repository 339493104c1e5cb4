/** What decides when a job may call upstreams: the higher priority first, then the one accepted earlier. */
export type SlotRequest = {
  priority: number;
  acceptedAtMs: number;
  /** The name of the upstream that serves the job's first model. */
  upstream: string;
};

/** `waiting`: the gate tells the job's actor when its turn has come. */
export type Admission = "admitted" | "waiting";

/**
 * The project's gate, which bounds how many jobs call upstreams at a time. Every call may be repeated. A slot is
 * leased: one that is not renewed for `limits.slotLeaseMs` is free again.
 */
export type JobSlots = {
  requestSlot: (runId: string, request: SlotRequest) => Promise<Admission>;
  renewSlot: (runId: string) => Promise<void>;
  releaseSlot: (runId: string) => Promise<void>;
};
