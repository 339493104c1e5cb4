import type { Metadata } from "../contract/chat.ts";
import type { RunStatus } from "../contract/runs.ts";
import type { FrameForm } from "./jobFrames.ts";
import type { JobSpec, StoredJob } from "./jobSpec.ts";
import type { RunStart } from "./runRecord.ts";

export type NewJob = {
  start: RunStart;
  runAtMs: number;
  /** A `StoredJob` as JSON. */
  json: string;
  idempotency: { key: string; requestDigest: string } | null;
};

/** A job that is on record, and the digest of the request by which it came there. */
export type SubmittedJob = {
  runId: string;
  createdAtMs: number;
  runAtMs: number;
  retryOf: string | null;
  modelAsked: string;
  metadata: Metadata;
  status: RunStatus;
  requestDigest: string | null;
};

export type JobStore = {
  /**
   * Writes the run's row as `queued` and what starts the job, in one batch; or nothing at all when another run of the
   * project holds the idempotency key, which is then the one that is returned. Idempotent.
   */
  submitJob: (job: NewJob) => Promise<SubmittedJob>;
  /** The job that holds an idempotency key of the project; null: none does. */
  findHolder: (projectId: string, key: string) => Promise<SubmittedJob | null>;
  /** Null when the run is none of the project's, or no job; `stored` is null when its contents are not kept any more. */
  findStoredJob: (projectId: string, runId: string) => Promise<{ stored: StoredJob | null } | null>;
  /** Marks a queued run as `running`; a settled one stays as it is. */
  markRunning: (projectId: string, runId: string) => Promise<void>;
  /** Drops what starts and repeats the job. */
  forgetSpec: (projectId: string, runId: string) => Promise<void>;
};

/** Whose jobs a caller may see: the project's, or where `keyId` is given those of one key of it. */
export type JobReader = { projectId: string; keyId: string | null };

export type WatchOptions = {
  /** Number of the last event seen. */
  afterSeq: number;
  /** Whether to go on with what happens from then on, to the end; else only what has happened is told. */
  follow: boolean;
  /** Of the stream; pings, where the form has some, come every `limits.pingMs` of silence. */
  form: FrameForm;
};

/** A job's object, addressed by its run. Null: it knows of no such job that the reader may see. */
export type JobObjects = {
  /** Starts the job unless it is started. */
  start: (spec: JobSpec) => Promise<void>;
  /**
   * The events in the form asked for; a followed stream closes after `done`, and is broken when it closes before. `ended`:
   * there is no event after `afterSeq`, and there will be none.
   */
  watch: (
    runId: string,
    reader: JobReader,
    options: WatchOptions,
  ) => Promise<ReadableStream<Uint8Array> | "ended" | null>;
  /**
   * Resolves with the status that the job has ended with, by this or before. With the spec of one that may never have been
   * started, that one ends without calling an upstream.
   */
  cancel: (runId: string, reader: JobReader, unstarted?: JobSpec) => Promise<RunStatus | null>;
  /** Removes the events of a job whose end is on record. */
  forget: (runId: string, reader: JobReader) => Promise<void>;
};
