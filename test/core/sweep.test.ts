import { expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import type { JobSpec, StoredJob } from "../../src/core/jobSpec.ts";
import { type OldLiveRun, type SweepPorts, sweep } from "../../src/core/sweep.ts";

const nowMs = 3_600_000;

type Found = Pick<OldLiveRun, "id" | "projectId"> & { gated: boolean };

/** Jobs that are on record and late; sweeps go over them as over those of a database, and note whom they start. */
function sweeping(jobs: readonly Found[]) {
  const all = jobs.map((job, at) => ({ ...job, createdAtMs: 0, job: { runAtMs: 0 }, cursor: String(at + 1) }));
  const started: string[] = [];
  const asked: string[] = [];
  let cursor: string | null = null;
  const ports = {
    findCursor: async () => cursor,
    moveCursor: async (to) => {
      cursor = to;
    },
    listOldLiveRuns: async (from, { limit }) => {
      const begin = Number(from ?? 0);
      const end = begin + limit;
      return { runs: all.slice(begin, end), next: end < all.length ? String(end) : null };
    },
    findLiveStarts: async () => [],
    findStoredJob: async (_, id) => ({ stored: { spec: { start: { id } } as JobSpec } as StoredJob }),
    startJob: async ({ start }) => {
      started.push(start.id);
    },
    findGatedJobs: async (projectId) => {
      asked.push(projectId);
      return all.filter((job) => job.projectId === projectId && job.gated).map(({ id }) => id);
    },
    settleRun: async () => true,
    pruneContents: async () => 0,
    pruneIdempotency: async () => 0,
    pruneEvents: async () => 0,
    maxRelayMs: 0,
    log: () => {},
    now: () => nowMs,
  } satisfies SweepPorts;
  return { started, asked, ports, sweep: () => sweep(ports) };
}

const waiting = (count: number, projectId = "prj_1"): Found[] =>
  Array.from({ length: count }, (_, at) => ({ id: `run_${projectId}_${at}`, projectId, gated: true }));
const unstarted = (id: string, projectId = "prj_1"): Found => ({ id, projectId, gated: false });

it("finds a job that was not started behind 2,000 that wait for their turn within two sweeps", async () => {
  const { started, sweep } = sweeping([...waiting(2_000), unstarted("run_lost")]);
  await sweep();
  await sweep();
  expect(started).toEqual(["run_lost"]);
});

it("starts a bounded number of jobs, asks a bounded number of gates, and goes on there", async () => {
  const many = Array.from({ length: 2 * limits.sweepStarts }, (_, at) => unstarted(`run_${at}`, `prj_${at}`));
  const { started, asked, sweep } = sweeping(many);
  await sweep();
  expect(asked).toHaveLength(limits.sweepStarts);
  expect(started).toHaveLength(limits.sweepStarts);
  await sweep();
  expect(started).toEqual(many.map(({ id }) => id));
});

it("starts the jobs of a project whose gate cannot be asked", async () => {
  const { ports, started } = sweeping(waiting(2));
  await sweep({ ...ports, findGatedJobs: () => Promise.reject(new Error("Network connection lost.")) });
  expect(started).toHaveLength(2);
});
