import type { JobEvent } from "../../src/contract/jobs.ts";
import { type Case, type Death, faultsOf } from "./checks.ts";
import { type Client, clientOf, pause } from "./client.ts";
import { commonFaults, hookFaultsOf, toldOf } from "./hookChecks.ts";
import { type HookWitness, makeTriggers, playHook, type Triggers, toGone } from "./hooks.ts";
import { playBatch, playJob, replay, type Witness } from "./jobs.ts";
import type { Options } from "./options.ts";
import { type Plan, planOf } from "./plan.ts";
import { liveTags, readEvents, readRecord } from "./record.ts";
import { type Mortal, startMortal } from "./runtime.ts";
import { type Sink, startSink } from "./sink.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./upstream.ts";

export type Verdict = {
  cases: Case[];
  batches: number;
  hooks: readonly HookWitness[];
  sinks: Sinks;
  faults: string[];
  deaths: Death[];
  logged: ReadonlyMap<string, number>;
  playedMs: number;
  quietMs: number;
};

type Sinks = { steady: Sink; gone: Sink };
type Stage = {
  mortal: Mortal;
  upstream: ScriptedUpstream;
  client: Client;
  sinks: Sinks;
  triggers: Triggers;
  signal: AbortSignal;
};

/** Jobs that are left alone are the sweeper's after a minute; the short form does not wait for it and asks for them. */
const quietBoundMs = { short: 40_000, long: 180_000 };
const patienceMs = { short: 8_000, long: 120_000 };
/** A message whose first attempts fell to a receiver and to a kill is sent again after five minutes. */
const toldBoundMs = { short: 45_000, long: 420_000 };
/** Messages that the second receiver takes before it is gone. */
const goneAfter = 5;
const cronMs = 5_000;
const replaysAtOnce = 20;
/** A long run says after so many kills that it goes on. */
const killsTold = 10;

/** Plays a plan against the real server, waits until all is quiet, and judges what is left. */
export async function torture(options: Options, signal: AbortSignal): Promise<Verdict> {
  const plan = planOf(options);
  const inBatches = plan.batches.flatMap(({ jobs }) => jobs);
  const ofEvents = plan.hooks.map(({ job }) => job);
  await using upstream = await startScriptedUpstream([...plan.jobs, ...inBatches, ...ofEvents]);
  const modes = plan.sinkModes();
  await using steady = await startSink(modes);
  await using gone = await startSink(modes, goneAfter);
  await using mortal = await startMortal({ upstreamUrl: upstream.url, signal });
  const client = clientOf(mortal, signal);
  const sinks = { steady, gone };
  const stage: Stage = { mortal, upstream, client, sinks, triggers: await makeTriggers(client, sinks), signal };
  const cron = setInterval(() => void mortal.runCron().catch(() => {}), cronMs);
  try {
    const beganMs = performance.now();
    const { witnesses, hooks, deaths } = await play(stage, plan);
    const playedMs = performance.now() - beganMs;
    const form = options.short ? "short" : "long";
    const left = await untilQuiet(stage, form);
    await untilTold(stage, hooks, form);
    const quietMs = performance.now() - beganMs - playedMs;
    const all = [...witnesses, ...hooks.map(({ witness }) => witness)];
    const { cases, counted, rows } = await gather(stage, all);
    const faults = cases.flatMap((one) => faultsOf(one, deaths).map((fault) => `${one.witness.plan.tag}: ${fault}`));
    const events = await readEvents(mortal.database());
    const record = { rows, events, ...sinks, deaths };
    for (const hook of hooks)
      faults.push(...hookFaultsOf(hook, record).map((fault) => `${hook.plan.job.tag} (${hook.plan.scheme}): ${fault}`));
    faults.push(...commonFaults(hooks, record));
    for (const [id, tag] of left) faults.push(`${tag}: ${id}: has not ended`);
    if (counted !== rows.length) faults.push(`${rows.length} runs are on record, ${counted} ends are counted`);
    return {
      cases,
      batches: plan.batches.length,
      hooks,
      sinks,
      faults,
      deaths,
      logged: mortal.logged,
      playedMs,
      quietMs,
    };
  } finally {
    clearInterval(cron);
  }
}

async function play({ mortal, upstream, client, triggers, signal }: Stage, plan: Plan) {
  const { jobs, batches, hooks, outages, livesMs } = plan;
  const deaths: Death[] = [];
  const sent: Promise<HookWitness>[] = [];
  const played: Promise<Witness | Witness[]>[] = [];
  const due = [
    ...jobs.map((job) => ({ atMs: job.atMs, begin: () => void played.push(playJob(client, job, signal)) })),
    ...batches.map((batch) => ({ atMs: batch.atMs, begin: () => void played.push(playBatch(client, batch, signal)) })),
    ...hooks.map((hook) => ({
      atMs: hook.atMs,
      begin: () => void sent.push(playHook(mortal.url, triggers, { plan: hook, signal })),
    })),
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
  return { witnesses: (await Promise.all(played)).flat(), hooks: await Promise.all(sent), deaths };
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

/** Resolves when receivers have taken the ends of all events' runs, or have not in time. */
async function untilTold({ sinks, signal }: Stage, hooks: readonly HookWitness[], form: "short" | "long") {
  const due = hooks.filter(({ plan }) => plan.scheme !== toGone).flatMap(({ witness }) => [...witness.runIds]);
  const untilMs = performance.now() + toldBoundMs[form];
  while (performance.now() < untilMs) {
    signal.throwIfAborted();
    if (due.every((runId) => toldOf(sinks.steady, runId).some(({ taken }) => taken))) return;
    await pause(200);
  }
}

async function gather({ mortal, upstream, client, signal }: Stage, witnesses: readonly Witness[]) {
  const { rows, counted } = await readRecord(mortal.database());
  const tags = new Map(witnesses.flatMap(({ plan, runIds }) => [...runIds].map((id) => [id, plan.tag] as const)));
  const byTag = Map.groupBy(rows, ({ id, tag }) => tag ?? tags.get(id));
  const replays = new Map<string, JobEvent[] | null>();
  const ended = rows.filter(({ status }) => status !== "queued" && status !== "running").values();
  const worker = async () => {
    for (const { id } of ended) {
      const bounded = AbortSignal.any([signal, AbortSignal.timeout(20_000)]);
      replays.set(id, await replay(client, id, bounded).catch(() => null));
    }
  };
  await Promise.all(Array.from({ length: replaysAtOnce }, worker));
  // What could not be asked for because of that is no fault.
  signal.throwIfAborted();
  const cases: Case[] = witnesses.map((witness) => ({
    witness,
    rows: byTag.get(witness.plan.tag) ?? [],
    replays,
    calls: upstream.calls.get(witness.plan.tag) ?? 0,
    struck: upstream.struck.has(witness.plan.tag),
  }));
  return { cases, counted, rows };
}
