import { limits } from "../contract/limits.ts";
import { recordedContents } from "../core/runEnd.ts";
import { log } from "../log.ts";
import type { JobAlarm } from "./jobAlarm.ts";
import type { JobBindings } from "./jobBindings.ts";
import type { JobLog, JobState } from "./jobLog.ts";

type Ended = NonNullable<JobState["end"]>;

type OutboxParts = {
  log: JobLog;
  alarm: JobAlarm;
  bindings: Pick<JobBindings, "settleRun" | "forgetSpec">;
  /** Removes everything the object has stored. */
  clear: () => Promise<void>;
};

/** What is left to do for a job that has ended: its end goes into D1, and a day later its events go. */
export class JobOutbox {
  readonly #parts: OutboxParts;
  #failures = 0;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** Puts the end on record, by the alarm again as often as it takes; the alarm is set for what comes next. */
  async advance(end: Ended): Promise<void> {
    const { log: jobLog, alarm, clear } = this.#parts;
    if (!jobLog.state?.recorded && !(await this.#record(end)))
      return alarm.at(Date.now() + Math.min(limits.maxRecordPauseMs, limits.recordPauseMs * 2 ** this.#failures++));
    const clearAtMs = end.endedAtMs + limits.jobEventsMs;
    if (clearAtMs <= Date.now()) await clear();
    else alarm.at(clearAtMs);
  }

  /** Every write of it may be repeated. */
  async #record({ outcome, ...end }: Ended): Promise<boolean> {
    const { log: jobLog, bindings } = this.#parts;
    const spec = jobLog.spec();
    if (!spec) return true;
    const { start, keepContents } = spec;
    const output = end.output === undefined ? null : ({ valid: true, value: end.output } as const);
    const contents = keepContents ? recordedContents(spec, jobLog.answer(), output) : null;
    try {
      await bindings.settleRun(start, outcome, contents);
      if (!keepContents) await bindings.forgetSpec(start.projectId, start.id);
    } catch (cause) {
      log("job_not_recorded", { runId: start.id, cause });
      return false;
    }
    jobLog.recorded();
    return true;
  }
}
