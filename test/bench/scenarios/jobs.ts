import { cpuMs, quiet } from "../cpu.ts";
import { percentile, type Row, ratioAtMost, type Section } from "../figures.ts";
import type { JobsPlan, JobTimes } from "../jobs.ts";
import { alternate, type Bench, cpuPerCall } from "../rounds.ts";
import { type BenchServer, startBenchServer } from "../server.ts";

const model = "paced-100x10";
const crowd = 20;
const many = 500;

type Measured = { times: JobTimes[]; cpuPerJob: number };

/** Durable jobs: what a watched one costs beside a bare stream, how soon it begins and resumes, and how many go at once. */
export async function jobs(bench: Bench): Promise<Section> {
  await using server = await startBenchServer(bench.upstreamUrl, bench.signal);
  // What is measured is the runtime, not the bound.
  await server.database
    .prepare("UPDATE projects SET max_jobs = ?")
    .bind(2 * many)
    .run();
  const amount = bench.short ? 30 : 100;
  const streams = { model, stream: true, clients: amount, calls: amount, startEveryMs: 10 };
  const { bare } = await alternate(bench, { server, names: ["bare"], rounds: bench.short ? 1 : 3 }, streams);
  const measured = (plan: Partial<JobsPlan>) => measure(bench, server, plan);
  await measured({ jobs: 10 });
  const single = await measured({ jobs: amount, resumes: amount });
  const alone = await measured({ jobs: 10 });
  const crowded = await measured({ jobs: 10, watchers: crowd });
  const atOnce = await measured({ jobs: many, startEveryMs: 0 });
  const firstCalls = await callDelays(bench, single.times);
  const resumes = single.times.flatMap(({ resumeMs }) => resumeMs ?? []);
  const whole = atOnce.times.filter(({ status }) => status === "succeeded").length;
  return {
    title: "Jobs of 100 chunks 10 ms apart, watched over tRPC",
    method: "CPU as above, beside a stream through the bare Worker. Times by a clock that all processes share.",
    columns: ["weir"],
    rows: [
      {
        ...figure("CPU per job, one watcher", "ms", single.cpuPerJob),
        ...ratioAtMost(single.cpuPerJob, cpuPerCall(bare), 8),
      },
      {
        ...figure(`CPU per job, ${crowd} watchers`, "ms", crowded.cpuPerJob),
        ...ratioAtMost(crowded.cpuPerJob, alone.cpuPerJob, 6),
      },
      atMost("submit to upstream called, p50", percentile(firstCalls, 0.5), 25),
      figure("submit to upstream called, p99", "ms", percentile(firstCalls, 0.99)),
      figure(
        "submit to its answer, p50",
        "ms",
        percentile(
          single.times.map(({ ticketMs }) => ticketMs),
          0.5,
        ),
      ),
      atMost("reconnect to first replayed event, p50", percentile(resumes, 0.5), 25),
      figure("reconnect to first replayed event, p99", "ms", percentile(resumes, 0.99)),
      {
        ...figure(`jobs whole of ${many} at once`, "count", whole),
        compared: `${whole} of ${many}`,
        goal: `${many} of ${many}`,
        ok: whole === many,
      },
    ],
  };
}

function figure(name: string, unit: string, value: number): Row {
  return { figure: name, unit, values: [value] };
}

function atMost(name: string, value: number, bound: number): Row {
  return {
    ...figure(name, "ms", value),
    compared: `${value.toFixed(1)} ms`,
    goal: `≤ ${bound} ms`,
    ok: value <= bound,
  };
}

async function measure(bench: Bench, server: BenchServer, plan: Partial<JobsPlan>): Promise<Measured> {
  const whole = { door: server.doors.weir, model, jobs: 1, watchers: 1, startEveryMs: 10, resumes: 0, ...plan };
  const before = await cpuMs(server.pid);
  const times = await bench.client.call("jobs", whole);
  await quiet(server.pid);
  return { times, cpuPerJob: ((await cpuMs(server.pid)) - before) / whole.jobs };
}

/** From each submit to its call's arrival at the upstream, ms. */
async function callDelays(bench: Bench, times: readonly JobTimes[]): Promise<number[]> {
  const arrivals = await bench.upstream.call("arrivals");
  return times.flatMap(({ text, submittedAtMs }) => {
    const atMs = arrivals[text];
    return atMs === undefined ? [] : [atMs - submittedAtMs];
  });
}
