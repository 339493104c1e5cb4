import { limits } from "../contract/limits.ts";
import type { Listeners } from "../core/endpointPorts.ts";
import type { JobSpec } from "../core/jobSpec.ts";
import type { Output } from "../core/output.ts";
import { recordedContents } from "../core/runEnd.ts";
import { tellEndpoints } from "../core/telling.ts";
import { runNews, toldOf } from "../core/webhookMessages.ts";
import { log } from "../log.ts";
import type { JobAlarm } from "./jobAlarm.ts";
import type { JobBindings } from "./jobBindings.ts";
import type { JobLog, JobState } from "./jobLog.ts";

type Ended = NonNullable<JobState["end"]>;

type OutboxParts = {
  log: JobLog;
  alarm: JobAlarm;
  bindings: Pick<JobBindings, "settleRun" | "forgetSpec" | "findListeners" | "acceptNotices" | "tellBatch">;
  /** Removes everything the object has stored. */
  clear: () => Promise<void>;
};

/**
 * What is left to do for a job that has ended: its end goes into D1 and to the endpoints that are told of it, and a day
 * later its events go. The end that is on disk is what is owed to all of them.
 */
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

  /** Every part of it may be repeated. */
  async #record(end: Ended): Promise<boolean> {
    const { log: jobLog, bindings } = this.#parts;
    const spec = jobLog.spec();
    if (!spec) return true;
    try {
      // Looked up meanwhile; told afterwards, as who is told looks for the run.
      const finding = bindings.findListeners(spec.start.projectId).catch((cause: unknown) => ({ cause }));
      if (!jobLog.state?.filed) await this.#file(spec, end);
      const found = await finding;
      if ("cause" in found || found.listeners.length > 0) jobLog.filed();
      if ("cause" in found) throw found.cause;
      await this.#tell(spec, end, found);
    } catch (cause) {
      log("job_not_recorded", { runId: spec.start.id, filed: jobLog.state?.filed, cause });
      return false;
    }
    jobLog.recorded();
    return true;
  }

  async #file(spec: JobSpec, end: Ended): Promise<void> {
    const { log: jobLog, bindings } = this.#parts;
    const { start, keepContents } = spec;
    const contents = keepContents ? recordedContents(spec, jobLog.answer(), outputOf(end)) : null;
    await bindings.settleRun(start, end.outcome, contents);
    if (!keepContents) await bindings.forgetSpec(start.projectId, start.id);
  }

  async #tell(spec: JobSpec, end: Ended, listeners: Listeners): Promise<void> {
    if (listeners.listeners.length === 0) return;
    const { log: jobLog, bindings } = this.#parts;
    const { start, callback } = spec;
    const { projectId, batchId } = start;
    const news = runNews(spec, { ...end, output: outputOf(end), answer: jobLog.answer() });
    await tellEndpoints(bindings.acceptNotices, listeners, { projectId, news, callback });
    if (batchId !== undefined && toldOf("batch.completed", listeners.listeners, callback).length > 0)
      await bindings.tellBatch({ projectId, batchId }, callback);
  }
}

function outputOf({ output }: Ended): Output | null {
  return output === undefined ? null : { valid: true, value: output };
}
