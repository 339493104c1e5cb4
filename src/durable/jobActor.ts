import { DurableObject } from "cloudflare:workers";
import { limits } from "../contract/limits.ts";
import type { RunStatus } from "../contract/runs.ts";
import type { JobReader, WatchOptions } from "../core/jobPorts.ts";
import type { JobSpec } from "../core/jobSpec.ts";
import type { Env } from "../env.ts";
import { log } from "../log.ts";
import { Backoff } from "./backoff.ts";
import { JobAlarm } from "./jobAlarm.ts";
import { jobBindings } from "./jobBindings.ts";
import { JobDriver } from "./jobDriver.ts";
import { JobLog } from "./jobLog.ts";
import { JobOutbox } from "./jobOutbox.ts";
import { JobWatchers } from "./jobWatchers.ts";

/**
 * One job, addressed by its run's id: owns the calls of upstreams, the log of events, the watchers and the outcome.
 * Whatever ends the object, its log says where the job was, and its alarm brings it back. All methods may be repeated.
 */
export class JobActor extends DurableObject<Env> {
  readonly #log: JobLog;
  readonly #watchers: JobWatchers;
  readonly #alarm: JobAlarm;
  #made: JobDriver | null = null;
  #work: Promise<void> | null = null;
  /** Whether this instance has taken the job up. */
  #taken = false;
  /** Something has happened that the work under way may not have seen. */
  #again = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#log = new JobLog(ctx.storage.sql);
    this.#watchers = new JobWatchers(this.#log, ctx.storage);
    this.#alarm = new JobAlarm(ctx.storage);
  }

  /**
   * Made when first needed: with a configuration that is refused the object could not begin, and an alarm that fails is
   * repeated a few times only.
   */
  get #driver(): JobDriver {
    if (this.#made) return this.#made;
    const parts = { log: this.#log, alarm: this.#alarm, bindings: jobBindings(this.env) };
    this.#made = new JobDriver({
      ...parts,
      watchers: this.#watchers,
      outbox: new JobOutbox({ ...parts, clear: () => this.#clear() }),
      routing: new Backoff(this.ctx.storage, "routing"),
      background: (work) => this.ctx.waitUntil(work),
    });
    return this.#made;
  }

  /**
   * Takes the job in and starts it. One that is here already goes on if nothing moves it any more, and if it has ended,
   * D1 is told again: whoever asks has not found its end there.
   */
  async start(spec: JobSpec): Promise<void> {
    if (this.#log.begin(spec)) {
      const nowMs = Date.now();
      this.#alarm.at(spec.runAtMs > nowMs ? Math.min(spec.runAtMs, spec.deadlineAtMs) : nowMs + limits.jobLeaseMs);
      this.#told();
      return this.#go();
    }
    const forgotten = this.#log.state?.filed;
    if (forgotten) this.#log.unrecorded(spec);
    if (forgotten || !this.#taken) this.#go();
  }

  /** The gate lets the job in that had to wait. False: it has no use for the slot any more. */
  async admitted(): Promise<boolean> {
    const { state } = this.#log;
    if (!state || state.end) return false;
    this.#go();
    return true;
  }

  /** See `JobObjects.forget`. */
  async forget(reader: JobReader): Promise<void> {
    if (!this.#log.admits(reader)) return;
    // Its end may be in D1 while the object is about to note that.
    if (this.#log.state?.end) await this.#work;
    // What endpoints have not been told of it by then they are not told any more.
    if (this.#log.state?.filed) await this.#clear();
  }

  /** See `JobObjects.watch`. */
  async watch(reader: JobReader, options: WatchOptions): Promise<ReadableStream<Uint8Array> | "ended" | null> {
    const { state } = this.#log;
    if (!state || !this.#log.admits(reader)) return null;
    this.#recover();
    if (options.follow && state.end && options.afterSeq >= state.lastSeq) return "ended";
    return this.#watchers.watch(options);
  }

  /** See `JobObjects.cancel`. With the spec of a job that may never have been started, that one ends without running. */
  async cancel(reader: JobReader, unstarted?: JobSpec): Promise<RunStatus | null> {
    if (unstarted && this.#log.begin(unstarted)) this.#alarm.within(limits.jobLeaseMs);
    if (!this.#log.admits(reader)) return null;
    await this.#driver.cancel();
    this.#go();
    return this.#log.state?.end?.outcome.status ?? null;
  }

  /** The lease: a job under way prolongs it, one that was lost is taken up again. */
  override async alarm(): Promise<void> {
    const { state } = this.#log;
    if (!state) return;
    // Before anything else: should the object end here, there is another alarm to come.
    this.#alarm.fired();
    if (!state.recorded) this.#alarm.within(limits.jobLeaseMs);
    this.#made?.beat();
    this.#go();
  }

  /** Takes up what an earlier instance of this object left; one that waits for its time is left to the alarm. */
  #recover(): void {
    if (!this.#taken && !this.#log.state?.recorded && this.#log.state?.status !== "waiting_retry") this.#go();
  }

  #go(): void {
    this.#taken = true;
    this.#again = true;
    this.#work ??= this.#drive();
    this.ctx.waitUntil(this.#work);
  }

  async #drive(): Promise<void> {
    try {
      while (this.#again) {
        this.#again = false;
        await this.#driver.advance();
      }
    } catch (cause) {
      // The alarm comes back to it.
      log("job_stumbled", { runId: this.ctx.id.name, cause });
      this.#alarm.within(limits.jobLeaseMs);
    } finally {
      this.#work = null;
    }
  }

  async #clear(): Promise<void> {
    this.#log.clear();
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
  }

  #told(): void {
    this.ctx.waitUntil(this.#watchers.tell());
  }
}
