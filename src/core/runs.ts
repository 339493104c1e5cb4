import { limits } from "../contract/limits.ts";
import type { Page } from "../contract/paging.ts";
import type { ListRunsInput, Run, RunStats, RunStatsInput, RunStatsRow, RunWithContents } from "../contract/runs.ts";
import { AppError } from "./errors.ts";
import { idTimeMs } from "./ids.ts";
import type { Principal } from "./principal.ts";

/** Newest first; throws `invalid_request` naming `cursor` or `text` when either makes no sense. */
export type ListRuns = (projectId: string, input: ListRunsInput) => Promise<Page<Run>>;
export type FindRun = (projectId: string, id: string) => Promise<RunWithContents | null>;
/** Replaces score and comment; null when there is no such run. */
export type RateRun = (projectId: string, id: string, rating: Rating) => Promise<Run | null>;
/** Removes a settled run with its contents and its search document; the daily usage stays, it is accounting. */
export type DeleteRun = (projectId: string, id: string) => Promise<"deleted" | "live" | "missing">;
export type SumUsage = (projectId: string, query: StatsQuery) => Promise<RunStatsRow[]>;

export type Rating = { score: number | null; comment: string | null };
export type StatsQuery = RunStatsInput & { from: string; to: string };

export type RunPorts = {
  listRuns: ListRuns;
  findRun: FindRun;
  rateRun: RateRun;
  deleteRun: DeleteRun;
  sumUsage: SumUsage;
  /** Removes the events of a job of the project that has ended; nothing happens for other runs. */
  forgetEvents: (projectId: string, runId: string) => Promise<void>;
  /** Milliseconds since the epoch. */
  now: () => number;
};

export type RunUseCases = ReturnType<typeof runUseCases>;

/** Reading, rating and deleting the run log of the caller's project. Foreign ids are `not_found`. */
export function runUseCases(ports: RunPorts) {
  async function whenRecorded<Found>(id: string, find: () => Promise<Found | null>): Promise<Found> {
    const found = await awaitRecord(id, ports.now, find);
    if (found === null) throw notFound(id);
    return found;
  }

  return {
    /** Newest first. Throws `invalid_request` naming `cursor` or `text`. */
    list(principal: Principal, input: ListRunsInput): Promise<Page<Run>> {
      return ports.listRuns(principal.projectId, input);
    },

    /** A run with its contents, which are null where they were not kept. */
    get(principal: Principal, id: string): Promise<RunWithContents> {
      return whenRecorded(id, () => ports.findRun(principal.projectId, id));
    },

    /** `from` and `to` are UTC days, both included. Throws `invalid_request` for an empty or too long span. */
    async stats(principal: Principal, input: RunStatsInput): Promise<RunStats> {
      const { from, to } = statsSpan(input, ports.now());
      const rows = await ports.sumUsage(principal.projectId, { ...input, from, to });
      return { from, to, rows };
    },

    /** Sets score and comment anew; a null score takes the rating back, comment included. */
    rate(
      principal: Principal,
      input: { id: string; score: number | null; comment?: string | undefined },
    ): Promise<Run> {
      const comment = input.score === null ? null : (input.comment ?? null);
      const rating = { score: input.score, comment };
      return whenRecorded(input.id, () => ports.rateRun(principal.projectId, input.id, rating));
    },

    /** Throws `conflict` while the run is queued or running. */
    async delete(principal: Principal, id: string): Promise<void> {
      // First, so that a failure leaves a run that can be deleted again.
      await ports.forgetEvents(principal.projectId, id);
      const result = await whenRecorded(id, async () => {
        const deleted = await ports.deleteRun(principal.projectId, id);
        return deleted === "missing" ? null : deleted;
      });
      if (result === "live")
        throw new AppError("conflict", `The run ${id} has not ended; it can be deleted once it has.`, { param: "id" });
    },
  };
}

/** `find` for callers who may have a run's answer before its row is with D1. */
export function findRecordedRun(find: FindRun, now: () => number): FindRun {
  return (projectId, id) => awaitRecord(id, now, () => find(projectId, id));
}

/** Asks again while the id is so young that what bears it may be on its way into the log. */
async function awaitRecord<Found>(id: string, now: () => number, find: () => Promise<Found | null>) {
  for (;;) {
    const found = await find();
    if (found !== null || !isYoung(id, now())) return found;
    await new Promise((resolve) => setTimeout(resolve, limits.recordPollMs));
  }
}

function isYoung(id: string, nowMs: number): boolean {
  const madeAtMs = idTimeMs(id);
  return madeAtMs !== null && Math.abs(nowMs - madeAtMs) < limits.recordLagMs;
}

function notFound(id: string): AppError {
  return new AppError("not_found", `There is no run ${id}.`, { param: "id" });
}

const dayMs = 24 * 3600 * 1000;

function statsSpan(input: { from?: string | undefined; to?: string | undefined }, nowMs: number) {
  const today = dayOf(nowMs);
  const to = input.to ?? (input.from !== undefined && input.from > today ? input.from : today);
  const from = input.from ?? dayOf(Date.parse(to) - (limits.defaultStatsDays - 1) * dayMs);
  if (to < from) throw new AppError("invalid_request", "to: is before `from`", { param: "to" });
  if ((Date.parse(to) - Date.parse(from)) / dayMs >= limits.maxStatsDays)
    throw new AppError("invalid_request", `from: at most ${limits.maxStatsDays} days in one call`, { param: "from" });
  return { from, to };
}

/** The UTC day, YYYY-MM-DD. */
export function dayOf(ms: number): string {
  return new Date(Math.max(ms, Date.parse("0000-01-01"))).toISOString().slice(0, 10);
}
