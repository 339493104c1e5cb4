import {
  BatchIdInput,
  BatchResultPage,
  BatchResultsInput,
  BatchStatus,
  BatchTicket,
  SubmitBatchInput,
} from "../../contract/jobBatches.ts";
import { procedure } from "./init.ts";

const runs = procedure("completions:run");

/** Jobs by the thousand; part of the router of jobs. */
export const batchProcedures = {
  /**
   * Accepts up to 1,000 jobs that share a template or messages, all or none: an item at fault is named `items.N` and
   * nothing is written. Each then ends on its own. Errors as for `jobs.submit`.
   */
  submitBatch: runs
    .input(SubmitBatchInput)
    .output(BatchTicket)
    .mutation(({ ctx, input }) => ctx.useCases.batches.submitBatch(ctx.principal, input)),

  /** How many of the batch's jobs are in which state. */
  batch: runs
    .input(BatchIdInput)
    .output(BatchStatus)
    .query(({ ctx, input }) => ctx.useCases.batches.batch(ctx.principal, input)),

  /** The batch's jobs with their answers, in the order of the items. */
  batchResults: runs
    .input(BatchResultsInput)
    .output(BatchResultPage)
    .query(({ ctx, input }) => ctx.useCases.batches.batchResults(ctx.principal, input)),

  /**
   * Cancels the batch's jobs that have not ended, in the background: those waiting first, then those that are running,
   * whose text so far is kept. Returns the counts as they were.
   */
  cancelBatch: runs
    .input(BatchIdInput)
    .output(BatchStatus)
    .mutation(({ ctx, input }) => ctx.useCases.batches.cancelBatch(ctx.principal, input)),
};
