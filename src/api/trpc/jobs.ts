import { type TrackedEnvelope, tracked } from "@trpc/server";
import * as z from "zod";
import {
  CancelledJob,
  type JobEvent,
  JobIdInput,
  JobResult,
  JobResultInput,
  JobTicket,
  RetryJobInput,
  SubmitJobInput,
  WatchJobInput,
} from "../../contract/jobs.ts";
import { procedure, router, toTrpc } from "./init.ts";
import { batchProcedures } from "./jobBatches.ts";

const runs = procedure("completions:run");

/** Our own events, typed for clients and not parsed once more. */
const JobEvents = z.custom<AsyncIterable<TrackedEnvelope<JobEvent>, void>>();

export const jobsRouter = router({
  /**
   * Accepts a durable completion and answers at once. It outlives connections, restarts and deployments, and reaches
   * exactly one end. Errors as for `completions.create` as far as they can be told before an upstream is called;
   * `conflict` when the idempotency key was used with another request.
   */
  submit: runs
    .input(SubmitJobInput)
    .output(JobTicket)
    .mutation(({ ctx, input }) => ctx.useCases.jobs.submit(ctx.principal, input)),

  /**
   * The job's events, from the first or after `lastEventId`, to `done`. Any number may watch, come back and leave: that
   * never stops the job. `conflict` for a run that is being relayed to its caller.
   */
  watch: runs
    .input(WatchJobInput)
    .output(JobEvents)
    .subscription(async function* ({ ctx, input, signal }) {
      try {
        for await (const event of ctx.useCases.jobs.watch(ctx.principal, input, signal ?? ctx.signal))
          yield tracked(String(event.seq), event);
      } catch (thrown) {
        throw toTrpc(thrown);
      }
    }),

  /** Waits up to `waitMs` (30 s) for the end; `run` is null when it has not come by then. */
  result: runs
    .input(JobResultInput)
    .output(JobResult)
    .query(({ ctx, input }) => ctx.useCases.jobs.result(ctx.principal, input, ctx.signal)),

  /** Ends the job as `cancelled` with what has arrived; returns the status it has ended with, by this or before. */
  cancel: runs
    .input(JobIdInput)
    .output(CancelledJob)
    .mutation(({ ctx, input }) => ctx.useCases.jobs.cancel(ctx.principal, input)),

  /** Runs a job's inputs again, as a new run. `conflict` when they are not kept, or the run is no job. */
  retry: runs
    .input(RetryJobInput)
    .output(JobTicket)
    .mutation(({ ctx, input }) => ctx.useCases.jobs.retry(ctx.principal, input)),

  ...batchProcedures,
});
