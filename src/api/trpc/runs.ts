import {
  ListRunsInput,
  RateRunInput,
  Run,
  RunIdInput,
  RunPage,
  RunStats,
  RunStatsInput,
  RunWithContents,
} from "../../contract/runs.ts";
import { procedure, router } from "./init.ts";

/** The run log of the caller's project. */
export const runsRouter = router({
  /** A page of runs, newest first. */
  list: procedure("runs:read")
    .input(ListRunsInput)
    .output(RunPage)
    .query(({ ctx, input }) => ctx.useCases.runs.list(ctx.principal, input)),

  /** One run with what was sent and what came back. */
  get: procedure("runs:read")
    .input(RunIdInput)
    .output(RunWithContents)
    .query(({ ctx, input }) => ctx.useCases.runs.get(ctx.principal, input.id)),

  /** Sums per day, template, version, model or key. */
  stats: procedure("runs:read")
    .input(RunStatsInput)
    .output(RunStats)
    .query(({ ctx, input }) => ctx.useCases.runs.stats(ctx.principal, input)),

  /** Replaces score and comment. */
  rate: procedure("runs:write")
    .input(RateRunInput)
    .output(Run)
    .mutation(({ ctx, input }) => ctx.useCases.runs.rate(ctx.principal, input)),

  /** Removes a settled run for good; returns its id. */
  delete: procedure("runs:write")
    .input(RunIdInput)
    .output(RunIdInput)
    .mutation(async ({ ctx, input }) => {
      await ctx.useCases.runs.delete(ctx.principal, input.id);
      return { id: input.id };
    }),
});
