import { cpuMs, quiet } from "../cpu.ts";
import { mean, percentile, type Row, ratioAtMost, type Section } from "../figures.ts";
import { JobClient } from "../jobClient.ts";
import { alternate, type Bench, cpuPerCall } from "../rounds.ts";
import { type BenchServer, startBenchServer } from "../server.ts";

const model = "paced-100x10";
const jobsAtOnce = 30;
/** Watchers of each job. */
const audiences = [0, 1, 20] as const;
type Audience = (typeof audiences)[number];

/** Durable jobs: what they cost beside a bare pass-through, what their watchers cost, and how soon they begin. */
export async function jobs(bench: Bench): Promise<Section> {
  await using server = await startBenchServer(bench.upstreamUrl, bench.signal);
  // What is measured is the runtime, not the gate's bound.
  await server.database.prepare("UPDATE projects SET max_jobs = 1000").run();
  const client = new JobClient(server.doors.weir);
  try {
    const plan = { model, stream: true, clients: jobsAtOnce, calls: jobsAtOnce };
    const { bare } = await alternate(bench, { server, names: ["bare"], rounds: 1, warm: bench.short }, plan);
    const costs: Record<Audience, number[]> = { 0: [], 1: [], 20: [] };
    // Warms up and does not count; the short form only shows that all of it works.
    if (!bench.short) await costOfJobs(server, client, { count: jobsAtOnce, audience: 1 });
    for (const audience of audiences) {
      const count = audience === 20 ? jobsAtOnce / 5 : jobsAtOnce;
      costs[audience].push(await costOfJobs(server, client, { count, audience }));
    }
    const base = cpuPerCall(bare);
    const [unwatched, one, twenty] = audiences.map((audience) => mean(costs[audience])) as [number, number, number];
    return {
      title: `Jobs: 100 chunks, 10 ms apart, ${jobsAtOnce} at once (6 with 20 watchers each)`,
      method: "CPU: utime + stime of workerd until it is quiet again; compared with a bare pass-through's per stream.",
      columns: ["bare", "unwatched", "1 watcher", "20 watchers"],
      rows: [
        {
          figure: "CPU per job",
          unit: "ms",
          values: [base, unwatched, one, twenty],
          ...ratioAtMost(
            one,
            base,
            8,
            costs[1].map((cost) => cost / base),
          ),
        },
        {
          figure: "of 20 watchers to one",
          unit: "ms",
          values: [null, null, one, twenty],
          ...ratioAtMost(twenty, one, 6),
        },
        await latencyRow(bench, client),
        await resumeRow(bench, client),
        await manyRow(bench, client),
      ],
    };
  } finally {
    client.close();
  }
}

type Load = { count: number; audience: Audience };

async function costOfJobs(server: BenchServer, client: JobClient, { count, audience }: Load): Promise<number> {
  await quiet(server.pid);
  const before = await cpuMs(server.pid);
  await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const { runId } = await client.submit(model, `job ${at}`);
      await Promise.all(Array.from({ length: audience }, () => client.watch(runId)));
    }),
  );
  // Those nobody watches are waited for by the quiet that follows them.
  if (audience === 0) await new Promise((resolve) => setTimeout(resolve, 1_200));
  await quiet(server.pid);
  return ((await cpuMs(server.pid)) - before) / count;
}

/** One at a time, as a caller meets it who is not in a crowd. */
async function latencyRow({ upstream, short }: Bench, client: JobClient): Promise<Row> {
  await upstream.call("arrivals");
  const asked = new Map<string, number>();
  for (let at = 0; at < (short ? 8 : 40); at++) {
    const text = `latency ${at}`;
    const { runId, askedAtMs } = await client.submit("burst-3", text);
    asked.set(text, askedAtMs);
    await client.watch(runId);
  }
  const arrivals = await upstream.call("arrivals");
  const values = [...asked].map(([text, atMs]) => (arrivals[text] ?? Number.NaN) - atMs);
  const p50 = percentile(values, 0.5);
  return {
    figure: "submit to the upstream's request, p50",
    unit: "ms",
    values: [null, p50, null, null],
    compared: `p90 ${percentile(values, 0.9).toFixed(1)}`,
    goal: "< 25 ms",
    ok: p50 < 25,
  };
}

async function resumeRow({ short }: Bench, client: JobClient): Promise<Row> {
  const { runId } = await client.submit("paced-100x10", "resume");
  await client.watch(runId);
  const values: number[] = [];
  for (let at = 0; at < (short ? 8 : 40); at++) values.push((await client.watch(runId, "4")).firstMs);
  const p50 = percentile(values, 0.5);
  return {
    figure: "reconnect to the first replayed event, p50",
    unit: "ms",
    values: [null, null, p50, null],
    compared: `p90 ${percentile(values, 0.9).toFixed(1)}`,
    goal: "< 25 ms",
    ok: p50 < 25,
  };
}

/** Each lasts longer than it takes to submit them all, so that all stream at once. */
async function manyRow({ short }: Bench, client: JobClient): Promise<Row> {
  const count = short ? 20 : 500;
  const lasting = short ? model : "paced-20x500";
  const events = await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const { runId } = await client.submit(lasting, `many ${at}`);
      return (await client.watch(runId)).events;
    }),
  );
  const whole = events.filter((seen) => seen > 3).length;
  return {
    figure: `${count} jobs ${short ? "" : "of 10 s "}at once, watched to their end`,
    unit: "",
    values: [null, null, whole, null],
    compared: `${whole} of ${count}`,
    goal: `${count}`,
    ok: whole === count,
  };
}
