import { percentile, ratio, ratioAtLeast, type Section } from "../figures.ts";
import { alternate, type Bench, callsPerSecond, cpuPerCall, ratios } from "../rounds.ts";
import { startBenchServer } from "../server.ts";

const names = ["direct", "bare", "weir", "unwritten"] as const;

/** Whole answers, for 16 clients that ask again and again. */
export async function nonstream(bench: Bench): Promise<Section> {
  await using server = await startBenchServer(bench.upstreamUrl, bench.signal);
  const plan = { model: "json", stream: false, clients: 16, calls: bench.short ? 150 : 600 };
  const results = await alternate(bench, { server, names, rounds: bench.short ? 1 : 3, warm: bench.short }, plan);
  const { bare, weir, unwritten } = results;
  const cpu = names.map((name) => (name === "direct" ? null : cpuPerCall(results[name])));
  const d1 = cpuPerCall(weir) - cpuPerCall(unwritten);
  const times = names.map((name) => results[name].flatMap(({ calls }) => calls.map(({ totalMs }) => totalMs)));
  return {
    title: "Whole answers (JSON of about 2 KB), 16 clients",
    method: "“unwritten”: weir with its writes to D1 answered by a stub; the rest of its cost is D1's.",
    columns: [...names],
    rows: [
      {
        figure: "requests a second",
        unit: "1/s",
        values: names.map((name) => callsPerSecond(results[name])),
        ...ratioAtLeast(callsPerSecond(weir), callsPerSecond(bare), 0.25, ratios(weir, bare, callsPerSecond)),
      },
      { figure: "CPU per request", unit: "ms", values: cpu, compared: ratio(cpuPerCall(weir) / cpuPerCall(bare)) },
      {
        figure: "of it D1's two writes",
        unit: "ms",
        values: [null, null, d1, null],
        compared: `${((100 * d1) / cpuPerCall(weir)).toFixed(0)} %`,
      },
      {
        figure: "requests a second without them",
        unit: "1/s",
        values: [null, null, null, callsPerSecond(unwritten)],
        compared: ratio(callsPerSecond(unwritten) / callsPerSecond(bare)),
      },
      { figure: "time, p50", unit: "ms", values: times.map((all) => percentile(all, 0.5)) },
      { figure: "time, p99", unit: "ms", values: times.map((all) => percentile(all, 0.99)) },
    ],
  };
}
