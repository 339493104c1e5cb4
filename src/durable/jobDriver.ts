import { limits } from "../contract/limits.ts";
import type { Attempt, SettledStatus } from "../contract/runs.ts";
import type { Candidate } from "../core/attempts.ts";
import { AppError, toAppError } from "../core/errors.ts";
import { factsApart, factsOf, toldOutput, waitAfter, withLostAttempt } from "../core/jobEnd.ts";
import { type JobRound, runJob } from "../core/jobRun.ts";
import type { JobSpec } from "../core/jobSpec.ts";
import { findCandidates } from "../core/prepare.ts";
import { type RunFacts, runEnd } from "../core/runEnd.ts";
import { runSummary } from "../core/runSummary.ts";
import { log } from "../log.ts";
import type { Backoff } from "./backoff.ts";
import type { JobAlarm } from "./jobAlarm.ts";
import type { JobBindings } from "./jobBindings.ts";
import type { JobLog, JobState } from "./jobLog.ts";
import type { JobOutbox } from "./jobOutbox.ts";
import type { JobWatchers } from "./jobWatchers.ts";

export type JobDriverParts = {
  log: JobLog;
  watchers: JobWatchers;
  alarm: JobAlarm;
  outbox: JobOutbox;
  /** Of routing the job's models. */
  routing: Backoff;
  bindings: JobBindings;
  /** Keeps the object alive for work that nobody waits for. */
  background: (work: Promise<unknown>) => void;
};

/** Moves a job from where its log says it is towards its end. One `advance` at a time; `cancel` may come in between. */
export class JobDriver {
  readonly #parts: JobDriverParts;
  /** Stops the round under way. */
  #round: AbortController | null = null;
  /** Resolves when the round under way has stopped. */
  #stopped: Promise<void> = Promise.resolve();
  #ending: Promise<void> | null = null;
  /** Whether the run log shows the job as running. */
  #marked = false;

  constructor(parts: JobDriverParts) {
    this.#parts = parts;
  }

  /** Does what can be done now and sets the alarm for what comes later. Rejects only for what the alarm may mend. */
  async advance(): Promise<void> {
    const { state } = this.#parts.log;
    if (!state || this.#round) return;
    await this.#ending;
    if (!state.end) await this.#towardsEnd(state);
    if (state.end) await this.#parts.outbox.advance(state.end);
  }

  /** Ends the job where it is as `cancelled`, with what has arrived; nothing happens when it has ended. */
  async cancel(): Promise<void> {
    const { state, spec } = this.#current();
    if (state.end || !spec) return;
    if (this.#round) {
      this.#round.abort(new AppError("cancelled", "The job was cancelled."));
      await this.#stopped;
    }
    if (!state.end) await this.#settleApart(spec, "cancelled", null);
  }

  /**
   * The alarm has gone off: a round under way keeps its slot. The run log learns only now that it is running, as most
   * jobs have ended by then and need not pay for the write.
   */
  beat(): void {
    const { log: jobLog, bindings, background } = this.#parts;
    const spec = this.#round && jobLog.spec();
    if (!spec) return;
    const { id, projectId } = spec.start;
    if (!this.#marked) background(this.#markRunning(spec));
    background(
      bindings
        .slotsOf(projectId)
        .renewSlot(id)
        .catch((cause: unknown) => log("slot_not_renewed", { runId: id, cause })),
    );
  }

  async #markRunning({ start: { id, projectId } }: JobSpec): Promise<void> {
    try {
      await this.#parts.bindings.markRunning(projectId, id);
      this.#marked = true;
    } catch (cause) {
      log("job_not_marked", { runId: id, cause });
    }
  }

  async #towardsEnd(state: Readonly<JobState>): Promise<void> {
    const { alarm } = this.#parts;
    const spec = this.#parts.log.spec();
    if (!spec) return;
    const nowMs = Date.now();
    if (nowMs >= spec.deadlineAtMs) return this.#settleApart(spec, "failed", pastDeadline());
    const beginAtMs = Math.max(spec.runAtMs, state.retryAtMs ?? 0);
    if (beginAtMs > nowMs) return alarm.at(Math.min(beginAtMs, spec.deadlineAtMs));
    const past =
      state.status === "running" ? withLostAttempt(state.attempts, nowMs - spec.start.createdAtMs) : state.attempts;
    if (state.status === "running" && (await this.#endsByLoss(spec, past))) return;
    const candidates = await this.#candidates(spec);
    // It may have been stopped meanwhile: nothing is asked for a job that is ending.
    if (!candidates || state.end || this.#ending) return this.#ending ?? undefined;
    if (!(await this.#hasSlot(spec, candidates))) return;
    if (!state.end && !this.#ending) return this.#runRound(spec, { candidates, past });
    // It has been stopped meanwhile: its end may have freed the slot before the gate gave it.
    this.#parts.background(this.#freeSlot(spec));
    await this.#ending;
  }

  /** Whether an attempt that was lost with the object's last instance is the job's end. */
  async #endsByLoss(spec: JobSpec, attempts: readonly Attempt[]): Promise<boolean> {
    const answer = this.#parts.log.answer();
    const keeps = answer.begun && spec.onInterrupt === "keep";
    if (!keeps && attempts.length < limits.maxJobAttempts) return false;
    const error = new AppError("unavailable", "The runtime stopped while the answer was coming in.");
    await this.#settle(spec, factsApart({ spec, status: "interrupted", error, answer, attempts, nowMs: Date.now() }));
    return true;
  }

  /** Where the job's models are served now; null when that has ended the job, or cannot be told yet. */
  async #candidates(spec: JobSpec): Promise<readonly [Candidate, ...Candidate[]] | null> {
    const { bindings, routing, alarm } = this.#parts;
    try {
      const candidates = await findCandidates(bindings, spec.start.projectId, spec.models);
      routing.succeeded();
      return candidates;
    } catch (thrown) {
      const error = toAppError(thrown);
      if (error.code === "not_found") await this.#settleApart(spec, "failed", error);
      else {
        log("job_not_routed", { runId: spec.start.id, cause: thrown });
        alarm.at(Math.min(Date.now() + routing.failed(), spec.deadlineAtMs));
      }
      return null;
    }
  }

  async #hasSlot(spec: JobSpec, [first]: readonly [Candidate, ...Candidate[]]): Promise<boolean> {
    const { start, priority, deadlineAtMs } = spec;
    const { bindings, alarm } = this.#parts;
    const { upstream, maxJobs } = first.route;
    const bounds = { project: spec.projectMaxJobs, upstream: maxJobs };
    const request = { priority, acceptedAtMs: start.createdAtMs, upstream, maxJobs: bounds };
    const admission = await bindings.slotsOf(start.projectId).requestSlot(start.id, request);
    // The gate calls; should it have forgotten, the job asks again.
    if (admission === "waiting") alarm.at(Math.min(Date.now() + limits.slotLeaseMs, deadlineAtMs));
    return admission === "admitted";
  }

  /** A slot that is not freed here is free when its lease is over. */
  #freeSlot({ start: { id, projectId } }: JobSpec): Promise<void> {
    return this.#parts.bindings
      .slotsOf(projectId)
      .releaseSlot(id)
      .catch((cause: unknown) => log("slot_not_released", { runId: id, cause }));
  }

  async #runRound(spec: JobSpec, { candidates, past }: Pick<JobRound, "candidates" | "past">): Promise<void> {
    const { log: jobLog, watchers, bindings, background, alarm } = this.#parts;
    const policy = { ...bindings.policy, maxCalls: limits.maxJobAttempts - past.length };
    const round = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#round = round;
    this.#stopped = promise;
    const deadline = setTimeout(
      () => round.abort(pastDeadline()),
      Math.min(spec.deadlineAtMs - Date.now(), 2 ** 31 - 1),
    );
    alarm.within(limits.jobLeaseMs);
    try {
      const facts = await runJob(
        {
          ...bindings,
          policy,
          background,
          recordAttempt: (attempts) => {
            jobLog.running(attempts);
            background(watchers.tell());
          },
          tell: (delta) => {
            jobLog.delta(delta);
            background(watchers.tell());
          },
          now: Date.now,
        },
        { spec, candidates, past, stop: round.signal },
      );
      if (facts.error?.code === "internal") log("job_failed_here", { runId: spec.start.id, cause: facts.error });
      const waitMs = waitAfter(facts, spec.deadlineAtMs - Date.now());
      if (waitMs === null) await this.#settle(spec, factsOf(facts, jobLog.answer()));
      else {
        const retryAtMs = Date.now() + waitMs;
        jobLog.waiting(facts.attempts, retryAtMs);
        background(watchers.tell());
        background(this.#freeSlot(spec));
        alarm.at(retryAtMs);
      }
    } finally {
      clearTimeout(deadline);
      this.#round = null;
      resolve();
    }
  }

  #settleApart(spec: JobSpec, status: SettledStatus, error: AppError | null): Promise<void> {
    const { log: jobLog } = this.#parts;
    const nowMs = Date.now();
    const { attempts = [], status: before } = jobLog.state ?? {};
    const isLost = before === "running" && !this.#round;
    const known = isLost ? withLostAttempt(attempts, nowMs - spec.start.createdAtMs) : attempts;
    return this.#settle(spec, factsApart({ spec, status, error, answer: jobLog.answer(), attempts: known, nowMs }));
  }

  /** The job's one end: whoever comes first has it, and the others wait for it. */
  #settle(spec: JobSpec, facts: RunFacts): Promise<void> {
    this.#ending ??= this.#end(spec, facts).finally(() => {
      this.#ending = null;
    });
    return this.#ending;
  }

  async #end(spec: JobSpec, facts: RunFacts): Promise<void> {
    const { log: jobLog, watchers, bindings, background } = this.#parts;
    const { outcome, output } = await runEnd({ ...bindings, log }, spec, facts);
    const run = runSummary(spec.start, outcome);
    jobLog.done({ run, ...toldOutput(output) }, { outcome, endedAtMs: Date.now() });
    background(watchers.tell());
    background(this.#freeSlot(spec));
  }

  #current(): { state: Readonly<JobState>; spec: JobSpec | null } {
    const { state } = this.#parts.log;
    if (!state) throw new Error("the object holds no job");
    return { state, spec: this.#parts.log.spec() };
  }
}

function pastDeadline(): AppError {
  return new AppError("upstream_timeout", "The job had not ended by its deadline.");
}
