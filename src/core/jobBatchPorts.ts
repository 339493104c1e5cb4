import type { BatchResult, BatchResultsInput, BatchStatus } from "../contract/jobBatches.ts";
import type { Page } from "../contract/paging.ts";
import type { JobReader } from "./jobPorts.ts";
import type { JobSpec } from "./jobSpec.ts";
import type { RunStart } from "./runRecord.ts";

export type NewBatchJob = {
  start: RunStart;
  itemKey: string | null;
  /** A `StoredJob` as JSON. */
  json: string;
};

export type NewBatch = {
  batchId: string;
  projectId: string;
  runAtMs: number;
  /** In the order of the items. */
  jobs: readonly NewBatchJob[];
  idempotency: { key: string; requestDigest: string } | null;
};

/** Who holds the idempotency key of a batch: itself, or what was submitted under it before. */
export type BatchHolder = {
  /** Null: it is a single job's. */
  batchId: string | null;
  createdAtMs: number;
  runAtMs: number;
  runIds: string[];
  requestDigest: string | null;
};

export type BatchStore = {
  /**
   * Writes all of a batch's runs as `queued`, with what starts them, or nothing at all when another job or batch of the
   * project holds the idempotency key, which is then returned; null: it is written. Idempotent.
   */
  submitBatch: (batch: NewBatch) => Promise<BatchHolder | null>;
  /** What holds an idempotency key of the project; null: nothing does. */
  findBatchHolder: (projectId: string, key: string) => Promise<BatchHolder | null>;
  /** Null when the reader may see no such batch. */
  countBatch: (reader: JobReader, batchId: string) => Promise<BatchStatus | null>;
  /** At most `limits.batchSliceJobs` of them; what starts a job is kept until it has ended. */
  findBatchJobs: (batch: Batch, slice: BatchSlice) => Promise<BatchJob[]>;
  /** In the order of the items. */
  listBatchResults: (reader: JobReader, input: BatchResultsInput) => Promise<Page<BatchResult>>;
};

/** Runs of one batch in one state, in an order. */
export type BatchSlice = {
  status: "queued" | "running";
  /** Where the slice before ended; null: the first one. */
  seq: number | null;
  order: "ascending" | "descending";
};

export type BatchJob = { seq: number; runId: string; spec: JobSpec };

export type Batch = { projectId: string; batchId: string };

/** A batch's object, which starts and cancels its jobs whatever becomes of its callers. All calls may be repeated. */
export type BatchObjects = {
  /** Has the batch started `limits.batchArmMs` from now if it is on record then. */
  arm: (batch: Batch) => Promise<void>;
  /** The batch is on record: its jobs are started now. */
  start: (batch: Batch) => Promise<void>;
  /** Starts no more of the batch's jobs, and cancels those that have not ended. */
  cancel: (batch: Batch) => Promise<void>;
};
