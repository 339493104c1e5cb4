import type { JobEvent } from "../../src/contract/jobs.ts";
import { type Case, type Death, faultsOf } from "./checks.ts";
import { type Client, clientOf, pause } from "./client.ts";
import { playBatch, playJob, replay, type Witness } from "./jobs.ts";
import type { Options } from "./options.ts";
import { type Plan, planOf } from "./plan.ts";
import { liveTags, readRecord } from "./record.ts";
import { type Mortal, startMortal } from "./runtime.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./upstream.ts";

export type Verdict = {
  cases: Case[];
  batches: number;
  faults: string[];
  deaths: Death[];
  logged: ReadonlyMap<string, number>;
  playedMs: number;
  quietMs: number;
};

type Stage = { mortal: Mortal; upstream: ScriptedUpstream; client: Client; signal: AbortSignal };

/** Jobs that are left alone are the sweeper's after a minute; the short form does not wait for it and asks for them. */
const quietBoundMs = { short: 40_000, long: 180_000 };
const patienceMs = { short: 8_000, long: 120_000 };
const cronMs = 5_000;
const replaysAtOnce = 20;
/** A long run says after so many kills that it goes on. */
const killsTold = 10;

/** Plays a plan against the real server, waits until all is quiet, and judges what is left. */
export async function torture(options: Options, signal: AbortSignal): Promise<Verdict> {
  const plan = planOf(options);
  await using upstream = await startScriptedUpstream([...plan.jobs, ...plan.batches.flatMap(({ jobs }) => jobs)]);
  await using mortal = await startMortal({ upstreamUrl: upstream.url, signal });
  const stage: Stage = { mortal, upstream, client: clientOf(mortal, signal), signal };
  const cron = setInterval(() => void mortal.runCron().catch(() => {}), cronMs);
  try {
    const beganMs = performance.now();
    const { witnesses, deaths } = await play(stage, plan);
    const playedMs = performance.now() - beganMs;
    const left = await untilQuiet(stage, options.short ? "short" : "long");
    const quietMs = performance.now() - beganMs - playedMs;
    const { cases, counted, rows } = await gather(stage, witnesses);
    const faults = cases.flatMap((one) => faultsOf(one, deaths).map((fault) => `${one.witness.plan.tag}: ${fault}`));
    for (const [id, tag] of left) faults.push(`${tag}: ${id}: has not ended`);
    if (counted !== rows) faults.push(`${rows} runs are on record, ${counted} ends are counted`);
    return { cases, batches: plan.batches.length, faults, deaths, logged: mortal.logged, playedMs, quietMs };
  } finally {
    clearInterval(cron);
  }
}

async function play({ mortal, upstream, client, signal }: Stage, { jobs, batches, outages, livesMs }: Plan) {
  const deaths: Death[] = [];
  const played: Promise<Witness | Witness[]>[] = [];
  const due = [
    ...jobs.map((job) => ({ atMs: job.atMs, begin: () => void played.push(playJob(client, job, signal)) })),
    ...batches.map((batch) => ({ atMs: batch.atMs, begin: () => void played.push(playBatch(client, batch, signal)) })),
    ...outages.map(({ atMs, forMs }) => ({ atMs, begin: () => upstream.breakFor(forMs) })),
  ].toSorted((a, b) => a.atMs - b.atMs);
  let livedMs = 0;
  for (const lifeMs of livesMs) {
    const beganMs = performance.now();
    for (let next = due[0]; next && next.atMs < livedMs + lifeMs; next = due[0]) {
      await pause(beganMs + next.atMs - livedMs - performance.now());
      signal.throwIfAborted();
      due.shift()?.begin();
    }
    await pause(beganMs + lifeMs - performance.now());
    livedMs += lifeMs;
    const atMs = await mortal.killAndRestart();
    deaths.push({ atMs, backAtMs: Date.now() });
    if (deaths.length % killsTold === 0) console.log(`${deaths.length} kills`);
  }
  for (const { begin } of due) begin();
  return { witnesses: (await Promise.all(played)).flat(), deaths };
}

/** Resolves with the runs that have not ended in time. */
async function untilQuiet({ mortal, client, signal }: Stage, form: "short" | "long"): Promise<Map<string, string>> {
  const beganMs = performance.now();
  let asked = false;
  for (;;) {
    signal.throwIfAborted();
    const live = await liveTags(mortal.database());
    const waitedMs = performance.now() - beganMs;
    if (live.size === 0 || waitedMs > quietBoundMs[form]) return live;
    if (!asked && waitedMs > patienceMs[form]) {
      asked = true;
      // Whoever asks for a job that was never started starts it.
      for (const runId of live.keys()) void replay(client, runId, signal).catch(() => {});
    }
    await pause(200);
  }
}

async function gather({ mortal, upstream, client, signal }: Stage, witnesses: readonly Witness[]) {
  const { rows, counted } = await readRecord(mortal.database());
  const byTag = Map.groupBy(rows, ({ tag }) => tag);
  const replays = new Map<string, JobEvent[] | null>();
  const ended = rows.filter(({ status }) => status !== "queued" && status !== "running").values();
  const worker = async () => {
    for (const { id } of ended) {
      const bounded = AbortSignal.any([signal, AbortSignal.timeout(20_000)]);
      replays.set(id, await replay(client, id, bounded).catch(() => null));
    }
  };
  await Promise.all(Array.from({ length: replaysAtOnce }, worker));
  const cases: Case[] = witnesses.map((witness) => ({
    witness,
    rows: byTag.get(witness.plan.tag) ?? [],
    replays,
    calls: upstream.calls.get(witness.plan.tag) ?? 0,
    struck: upstream.struck.has(witness.plan.tag),
  }));
  return { cases, counted, rows: rows.length };
}
