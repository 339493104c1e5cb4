import type { Metadata } from "../contract/chat.ts";
import type {
  CancelledJob,
  JobEvent,
  JobResult,
  JobResultInput,
  JobTicket,
  RetryJobInput,
  SubmitJobInput,
  WatchJobInput,
} from "../contract/jobs.ts";
import type { RunWithContents } from "../contract/runs.ts";
import type { AdmissionHeaders, Admit } from "./admission.ts";
import type { CheckCallback } from "./callbacks.ts";
import { type CompletionRequest, fromCreateInput } from "./completionRequest.ts";
import { sha256Hex } from "./digest.ts";
import { AppError } from "./errors.ts";
import { storedKey } from "./idempotency.ts";
import { noJob, readerOf } from "./jobAccess.ts";
import { framesOf } from "./jobFrames.ts";
import { loggedEvents } from "./jobLogReplay.ts";
import type { JobObjects, JobReader, JobStore, SubmittedJob } from "./jobPorts.ts";
import { jobRepeater } from "./jobRepeat.ts";
import { resultOf } from "./jobResult.ts";
import { type JobOptions, type JobSpec, type StoredJob, specOf, storedJson, termsOf } from "./jobSpec.ts";
import { isRefusal, type WatchPorts, watchJob } from "./jobWatch.ts";
import { canonicalJson } from "./json.ts";
import { type PreparePorts, prepare } from "./prepare.ts";
import type { Principal } from "./principal.ts";
import type { FindRun } from "./runs.ts";

export type JobPorts = PreparePorts &
  Pick<JobStore, "submitJob" | "findHolder" | "findStoredJob"> & {
    objects: JobObjects;
    findRun: FindRun;
    admit: Admit;
    checkCallback: CheckCallback;
    log: (event: string, fields: Record<string, unknown>) => void;
    /** Milliseconds since the epoch. */
    now: () => number;
  };

/** A job as a door asks for it. */
export type JobRequest = {
  request: CompletionRequest;
  options: JobOptions;
  idempotencyKey: string | undefined;
  /** What decides whether two requests under one key are the same. */
  canonical: unknown;
};

/** An accepted job, what it was accepted with, and what the caller is told of its limits. */
export type AcceptedJob = { ticket: JobTicket; model: string; metadata: Metadata; headers: AdmissionHeaders };

type Keyed = { key: string | undefined; canonical: unknown };

type NewlyMade = { job: StoredJob; headers: AdmissionHeaders };

/**
 * Durable completions: submitting, watching, cancelling and repeating them. A foreign run is `not_found`; so is, for a
 * publishable key, which is in everybody's browser, a run of another key.
 */
export function jobUseCases(ports: JobPorts) {
  const { objects } = ports;
  const repeat = jobRepeater(ports);

  /** Asks the job's object; once more, with what starts it, if it was accepted and never started. */
  async function reach<T>(
    principal: Principal,
    runId: string,
    ask: (reader: JobReader, unstarted?: JobSpec) => Promise<T | null>,
  ): Promise<{ answer: T } | { ended: RunWithContents }> {
    const reader = readerOf(principal);
    const answer = await ask(reader);
    if (answer !== null) return { answer };
    const found = await ports.findRun(reader.projectId, runId);
    if (!found || (reader.keyId !== null && found.run.keyId !== reader.keyId)) throw noJob(runId);
    if (found.run.status !== "queued" && found.run.status !== "running") return { ended: found };
    const job = await ports.findStoredJob(reader.projectId, runId);
    if (!job?.stored)
      throw new AppError("conflict", `The run ${runId} is relayed to its caller and is no job.`, { param: "runId" });
    const second = await ask(reader, job.stored.spec);
    if (second === null) throw unreachable();
    return { answer: second };
  }

  const watchPorts: WatchPorts = {
    async attach(principal, runId, options) {
      const lines = { ...options, form: "lines" } as const;
      const reached = await reach(principal, runId, async (reader, unstarted) => {
        if (unstarted) await objects.start(unstarted);
        return objects.watch(runId, reader, lines);
      });
      if ("ended" in reached) return loggedEvents(reached.ended, options.afterSeq);
      return reached.answer === "ended" ? [] : reached.answer;
    },
    log: ports.log,
  };

  /**
   * Puts on record the job that `make` resolves with. What has been accepted under its key before is that run, even if
   * it would be refused by now: its template has changed, or the caller's limits are used up.
   */
  async function accept(principal: Principal, { key, canonical }: Keyed, make: () => Promise<NewlyMade>) {
    const { projectId } = principal;
    const requestDigest = await sha256Hex(canonicalJson(canonical));
    const idempotency = key === undefined ? null : { key: storedKey(principal, key), requestDigest };
    let made: NewlyMade & { json: string };
    try {
      const { job, headers } = await make();
      made = { job, headers, json: storedJson(job) };
    } catch (refusal) {
      const held = idempotency && (await holderOf(projectId, idempotency.key));
      if (held?.requestDigest !== requestDigest) throw refusal;
      return accepted(projectId, held, {});
    }
    const { headers, json } = made;
    const { spec } = made.job;
    const held = await ports.submitJob({ start: spec.start, runAtMs: spec.runAtMs, json, idempotency });
    if (idempotency && held.requestDigest !== requestDigest)
      throw new AppError("conflict", "idempotencyKey: this key was used with another request", {
        param: "idempotencyKey",
        details: { runId: held.runId },
      });
    return accepted(projectId, held, { headers, spec });
  }

  /** Null also where it cannot be looked up: the caller is told then why it was refused. */
  function holderOf(projectId: string, key: string): Promise<SubmittedJob | null> {
    return ports.findHolder(projectId, key).catch((cause: unknown) => {
      ports.log("key_not_looked_up", { projectId, cause });
      return null;
    });
  }

  async function accepted(
    projectId: string,
    held: SubmittedJob,
    made: { headers?: AdmissionHeaders; spec?: JobSpec },
  ): Promise<AcceptedJob> {
    const { runId, createdAtMs, runAtMs, retryOf, modelAsked: model, metadata } = held;
    const own = made.spec?.start.id === runId ? made.spec : undefined;
    // What is on record is started by the sweeper if this fails: the job is accepted all the same.
    await started(projectId, held, own).catch((cause: unknown) => ports.log("job_not_started", { runId, cause }));
    const createdAt = new Date(createdAtMs).toISOString();
    const ticket = { runId, createdAt, runAt: new Date(runAtMs).toISOString(), retryOf };
    return { ticket, model, metadata, headers: made.headers ?? {} };
  }

  /** Whoever submitted the holder of the key may have died before it was started. */
  async function started(projectId: string, { runId, status }: SubmittedJob, spec?: JobSpec): Promise<void> {
    if (spec) return objects.start(spec);
    if (status !== "queued") return;
    const found = await ports.findStoredJob(projectId, runId);
    if (found?.stored) await objects.start(found.stored.spec);
  }

  /**
   * Accepts a job: from then on it reaches exactly one end. Validates and renders first, so that bad input costs
   * nothing. The same request under the same idempotency key is the same run, another one a `conflict`.
   */
  function submitRequest(principal: Principal, asked: JobRequest): Promise<AcceptedJob> {
    const { options, idempotencyKey: key, canonical } = asked;
    return accept(principal, { key, canonical }, async () => {
      const headers = await ports.admit(principal);
      if (principal.kind === "publishable") checkPublishable(options);
      await ports.checkCallback(principal, options.callback);
      const request = { ...asked.request, stream: true };
      const terms = termsOf(options, ports.now());
      const spec = specOf(principal, await prepare(ports, principal, request), terms);
      return { job: { spec, request: request.template && request }, headers };
    });
  }

  return {
    submitRequest,

    /** `submitRequest` of an input of `jobs.submit`. */
    async submit(principal: Principal, input: SubmitJobInput): Promise<JobTicket> {
      const { idempotencyKey, ...asked } = input;
      const request = fromCreateInput(input);
      const canonical = ["jobs.submit", asked];
      return (await submitRequest(principal, { request, options: input, idempotencyKey, canonical })).ticket;
    },

    /**
     * The job's events after `lastEventId`, then those to come, to `done`. Events are the same for every watcher and
     * after every reconnect; a run whose events are not kept any more, or that was relayed, is told from the run log.
     * Ends, without an error, when `signal` aborts.
     */
    watch(principal: Principal, input: WatchJobInput, signal: AbortSignal): AsyncGenerator<JobEvent, void> {
      const { runId, lastEventId } = input;
      const options = { afterSeq: Number(lastEventId ?? 0), follow: true };
      return watchJob(watchPorts, { principal, runId, signal, ...options });
    },

    /** `watch`, once the job has been reached: what it cannot be watched for rejects, so that a status can tell it. */
    async openWatch(principal: Principal, input: WatchJobInput, signal: AbortSignal) {
      const { runId, lastEventId } = input;
      const options = { afterSeq: Number(lastEventId ?? 0), follow: true };
      const source = await watchPorts.attach(principal, runId, options).catch((thrown: unknown) => {
        if (isRefusal(thrown)) throw thrown;
        // The watch tries again.
        ports.log("watch_broke", { runId, cause: thrown });
        return undefined;
      });
      return watchJob(watchPorts, { principal, runId, signal, source, ...options });
    },

    /**
     * The same as one stream in the protocol of tRPC's subscriptions, straight from the job's object; it breaks when
     * that does. A text where the client has seen the end. Null for a run that the object has nothing to tell of.
     */
    async watchFrames(principal: Principal, input: WatchJobInput): Promise<ReadableStream<Uint8Array> | string | null> {
      const { runId, lastEventId } = input;
      const options = { afterSeq: Number(lastEventId ?? 0), follow: true, form: "subscription" } as const;
      const stream = await objects.watch(runId, readerOf(principal), options);
      return stream === "ended" ? framesOf.subscription.opened + framesOf.subscription.closed : stream;
    },

    /** Waits up to `waitMs` for the end; else tells what there is so far. */
    async result(principal: Principal, input: JobResultInput, signal: AbortSignal): Promise<JobResult> {
      const { runId, waitMs } = input;
      const waited = AbortSignal.any([signal, AbortSignal.timeout(waitMs)]);
      const watched = { principal, runId, afterSeq: 0 };
      const result =
        waitMs > 0 ? await resultOf(runId, watchJob(watchPorts, { ...watched, follow: true, signal: waited })) : null;
      if (result?.run) return result;
      return resultOf(runId, watchJob(watchPorts, { ...watched, follow: false, signal }));
    },

    /** Stops the job; what has arrived is kept. Nothing changes when it has ended already. */
    async cancel(principal: Principal, { runId }: { runId: string }): Promise<CancelledJob> {
      const reached = await reach(principal, runId, (reader, unstarted) => objects.cancel(runId, reader, unstarted));
      return { runId, status: "answer" in reached ? reached.answer : reached.ended.run.status };
    },

    /** A new job with the same inputs; see `jobRepeater`. Idempotent by its key as `submitRequest` is. */
    async retry(principal: Principal, input: RetryJobInput): Promise<JobTicket> {
      const { idempotencyKey: key, ...asked } = input;
      const { ticket } = await accept(principal, { key, canonical: ["jobs.retry", asked] }, async () => {
        const headers = await ports.admit(principal);
        return { job: await repeat(principal, input), headers };
      });
      return ticket;
    },
  };
}
export type JobUseCases = ReturnType<typeof jobUseCases>;

/** Its holder must not push itself before the project's own jobs, nor fill the queue for days. */
function checkPublishable(input: JobOptions): void {
  const refuse = (param: string) => new AppError("forbidden", `${param}: not for a publishable key's jobs`, { param });
  if (input.priority !== 0) throw refuse("priority");
  if (input.delayMs !== undefined) throw refuse("delayMs");
  if (input.runAt !== undefined) throw refuse("runAt");
  if (input.callback !== undefined) throw refuse("callback");
}

function unreachable(): AppError {
  return new AppError("unavailable", "The job cannot be reached at the moment.", { retryAfterSeconds: 1 });
}
