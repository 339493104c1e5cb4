import type { RetryJobInput } from "../contract/jobs.ts";
import { quotaIdsOf } from "./budgets.ts";
import { AppError } from "./errors.ts";
import { newId } from "./ids.ts";
import { noJob, readerOf } from "./jobAccess.ts";
import type { JobStore } from "./jobPorts.ts";
import { type JobSpec, type StoredJob, specOf } from "./jobSpec.ts";
import { type PreparePorts, prepare } from "./prepare.ts";
import type { Principal } from "./principal.ts";
import type { FindRun } from "./runs.ts";
import { noTemplate } from "./templateResolve.ts";

export type RepeatPorts = PreparePorts &
  Pick<JobStore, "findStoredJob"> & {
    findRun: FindRun;
    /** Milliseconds since the epoch. */
    now: () => number;
  };

/**
 * Makes a job of an old one's inputs, by the same or the newest version of its template. `conflict` where these are not
 * kept, or the run was relayed; a publishable key may repeat what it may submit, so `not_found` for a template that is
 * not listed any more, or a version that `production` has left.
 */
export function jobRepeater(ports: RepeatPorts) {
  async function stored(principal: Principal, runId: string): Promise<StoredJob> {
    const { projectId, keyId } = readerOf(principal);
    const job = await ports.findStoredJob(projectId, runId);
    if (!job) {
      const run = await ports.findRun(projectId, runId);
      if (!run || keyId !== null) throw noJob(runId);
      throw new AppError("conflict", "Only jobs can be repeated; this run was relayed.", { param: "runId" });
    }
    if (!job.stored) throw new AppError("conflict", "What this job sent is not kept any more.", { param: "runId" });
    if (keyId !== null && job.stored.spec.start.keyId !== keyId) throw noJob(runId);
    return job.stored;
  }

  async function checkOffered(projectId: string, { template }: JobSpec["start"]): Promise<void> {
    if (!template) throw new AppError("forbidden", "A publishable key runs templates only.", { param: "runId" });
    const { name, version, versionId } = template;
    const offered = await ports.resolveTemplate(projectId, name, "production");
    if (!offered.listed) throw noTemplate(name, "template");
    if (offered.versionId !== versionId)
      throw new AppError("not_found", `The template "${name}" is not offered in version ${version} any more.`, {
        param: "version",
      });
  }

  async function again(principal: Principal, { spec, request }: StoredJob, input: RetryJobInput): Promise<JobSpec> {
    const nowMs = ports.now();
    const isPublishable = principal.kind === "publishable";
    const terms = { ...spec, runAtMs: nowMs, deadlineMs: spec.deadlineAtMs - spec.runAtMs };
    if (input.version === "same" || !request?.template) {
      if (isPublishable) await checkOffered(principal.projectId, spec.start);
      const { keyId, keepContents } = principal;
      // The repetition is no part of the batch.
      const { batchId: _, ...before } = spec.start;
      const start = { ...before, id: newId("run", nowMs), createdAtMs: nowMs, keyId, retryOf: input.runId };
      return {
        ...spec,
        start: { ...start, quotaIds: quotaIdsOf(principal) },
        keepContents,
        projectMaxJobs: principal.limits.projectMaxJobs,
        runAtMs: nowMs,
        deadlineAtMs: nowMs + terms.deadlineMs,
      };
    }
    // A publishable key runs what `production` is by now.
    const selector = isPublishable ? request.template.selector : "latest";
    const newest = { ...request, template: { ...request.template, selector } };
    const made = specOf(principal, await prepare(ports, principal, newest), terms);
    return { ...made, start: { ...made.start, retryOf: input.runId } };
  }

  return async (principal: Principal, input: RetryJobInput): Promise<StoredJob> => {
    const old = await stored(principal, input.runId);
    return { spec: await again(principal, old, input), request: old.request };
  };
}
