import { DurableObject } from "cloudflare:workers";
import type { Callback } from "../contract/endpoints.ts";
import { limits } from "../contract/limits.ts";
import type { Batch, BatchJob, BatchSlice } from "../core/jobBatchPorts.ts";
import type { Env } from "../env.ts";
import { log } from "../log.ts";
import { database } from "../store/db.ts";
import { endpointStore } from "../store/endpoints.ts";
import { batchStore } from "../store/jobBatches.ts";
import { Backoff } from "./backoff.ts";
import { BatchEnd } from "./batchEnd.ts";
import type { JobActor } from "./jobActor.ts";
import { acceptNotices } from "./jobBindings.ts";
import { callObject } from "./objectCall.ts";

/** What is being done to a batch's jobs, and how far it has come. */
type Walk = {
  batch: Batch;
  task: "start" | "cancel";
  slice: BatchSlice;
  /** Whether a job could not be reached this time round, and the rounds before in which that was so. */
  missed: boolean;
  rounds: number;
};

/**
 * One batch, addressed by its id: starts its jobs, or cancels them, a slice at each alarm, so that a batch outlives its
 * callers and no invocation makes more calls than it may. The jobs are on record in D1; it holds how far it has come, and
 * nothing once it is through. Where endpoints are told of the batch's end, its jobs tell it of theirs. All methods may be
 * repeated.
 */
export class BatchActor extends DurableObject<Env> {
  readonly #reading: Backoff;
  readonly #telling: Backoff;
  readonly #end: BatchEnd;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#reading = new Backoff(ctx.storage, "reading");
    this.#telling = new Backoff(ctx.storage, "telling");
    const db = database(env.DB);
    const { findListeners } = endpointStore(db);
    this.#end = new BatchEnd(ctx.storage.kv, {
      countBatch: batchStore(db).countBatch,
      findListeners,
      acceptNotices: acceptNotices(env),
    });
  }

  /** See `BatchObjects.arm`. */
  async arm(batch: Batch): Promise<void> {
    if (!this.#walk) await this.#go(starting(batch), limits.batchArmMs);
  }

  /** See `BatchObjects.start`. */
  async start(batch: Batch): Promise<void> {
    if (!this.#walk || isFresh(this.#walk)) await this.#go(starting(batch), 0);
  }

  /** See `BatchObjects.cancel`. */
  async cancel(batch: Batch): Promise<void> {
    if (this.#walk?.task !== "cancel") await this.#go(cancelling(batch), 0);
  }

  /** A job of the batch has ended, and D1 shows it: endpoints are to know when all have. */
  async ended(batch: Batch, callback: Callback | undefined): Promise<void> {
    if (this.#end.jobEnded(batch, callback)) await this.ctx.storage.setAlarm(Date.now());
  }

  override async alarm(): Promise<void> {
    const walk = this.#walk;
    if (walk) await this.#walkOn(walk);
    await this.#tellEnd();
  }

  async #walkOn(walk: Walk): Promise<void> {
    try {
      await this.#step(walk);
    } catch (cause) {
      log("batch_stumbled", { ...walk.batch, cause });
      // The platform's own repetitions of an alarm are bounded.
      await this.ctx.storage.setAlarm(Date.now() + this.#reading.failed());
    }
  }

  async #tellEnd(): Promise<void> {
    try {
      const keptUntilMs = await this.#end.advance(Date.now());
      this.#telling.succeeded();
      if (this.#walk) return;
      if (this.#end.isOver(Date.now())) await this.ctx.storage.deleteAll();
      else if (keptUntilMs !== null) await this.ctx.storage.setAlarm(keptUntilMs);
    } catch (cause) {
      log("batch_end_not_told", { batchId: this.ctx.id.name, cause });
      await this.ctx.storage.setAlarm(Date.now() + this.#telling.failed());
    }
  }

  async #step(walk: Walk): Promise<void> {
    const jobs = await batchStore(database(this.env.DB)).findBatchJobs(walk.batch, walk.slice);
    this.#reading.succeeded();
    const told = await Promise.allSettled(jobs.map((job) => this.#tell(walk, job)));
    const failure = told.find((result) => result.status === "rejected");
    if (failure) log("batch_jobs_missed", { ...walk.batch, cause: failure.reason });
    // A cancel that came meanwhile has begun a walk of its own.
    if (!isSame(this.#walk, walk)) return;
    const next = following({ ...walk, missed: walk.missed || failure !== undefined }, jobs);
    if (!next) this.ctx.storage.kv.delete("walk");
    else await this.#go(next, next.rounds > walk.rounds ? pauseMs(next.rounds) : 0);
  }

  async #tell({ task, batch }: Walk, { runId, spec }: BatchJob): Promise<void> {
    const actors = this.env.JOBS as DurableObjectNamespace<JobActor>;
    const actor = () => actors.get(actors.idFromName(runId));
    if (task === "start") await callObject(() => actor().start(spec));
    else await callObject(() => actor().cancel({ projectId: batch.projectId, keyId: null }, spec));
  }

  get #walk(): Walk | undefined {
    return this.ctx.storage.kv.get<Walk>("walk");
  }

  async #go(walk: Walk, afterMs: number): Promise<void> {
    this.ctx.storage.kv.put("walk", walk);
    await this.ctx.storage.setAlarm(Date.now() + afterMs);
  }
}

function starting(batch: Batch): Walk {
  return { batch, task: "start", slice: { status: "queued", seq: null, order: "ascending" }, missed: false, rounds: 0 };
}

/** Those waiting first and from the end: a gate lets them in from the front, each into the place of one that ends. */
function cancelling(batch: Batch): Walk {
  const slice: BatchSlice = { status: "queued", seq: null, order: "descending" };
  return { batch, task: "cancel", slice, missed: false, rounds: 0 };
}

/** What to do after a slice; null: the walk is over. A round in which a job was missed is followed by another one. */
function following(walk: Walk, done: readonly BatchJob[]): Walk | null {
  const { task, slice, missed, rounds } = walk;
  const last = done.length < limits.batchSliceJobs ? undefined : done.at(-1);
  if (last) return { ...walk, slice: { ...slice, seq: last.seq } };
  if (task === "cancel" && slice.status === "queued")
    return { ...walk, slice: { ...slice, status: "running", seq: null } };
  if (!missed) return null;
  return { ...walk, slice: { ...slice, status: "queued", seq: null }, missed: false, rounds: rounds + 1 };
}

function isFresh({ task, slice, rounds }: Walk): boolean {
  return task === "start" && slice.seq === null && rounds === 0;
}

function isSame(walk: Walk | undefined, other: Walk): boolean {
  return JSON.stringify(walk) === JSON.stringify(other);
}

function pauseMs(rounds: number): number {
  return Math.min(limits.maxRecordPauseMs, limits.recordPauseMs * 2 ** (rounds - 1));
}
