import { ratio, ratioAtLeast, type Section } from "../figures.ts";
import { alternate, type Bench, callsPerSecond, cpuPerCall, ratios } from "../rounds.ts";
import { startBenchServer } from "../server.ts";

const names = ["direct", "bare", "weir"] as const;

/** Streams whose 300 chunks come at once, for 16 clients that ask again and again. */
export async function burst(bench: Bench): Promise<Section> {
  await using server = await startBenchServer(bench.upstreamUrl, bench.signal);
  const plan = { model: "burst-300", stream: true, clients: 16, calls: bench.short ? 64 : 320 };
  const results = await alternate(bench, { server, names, rounds: bench.short ? 1 : 2, warm: bench.short }, plan);
  const { bare, weir } = results;
  const cpu = names.map((name) => (name === "direct" ? null : cpuPerCall(results[name])));
  return {
    title: "Bursts: 300 chunks of about 300 bytes at once, 16 clients",
    method: `${plan.calls} streams a round over connections kept alive; each chunk is one HTTP chunk.`,
    columns: [...names],
    rows: [
      {
        figure: "streams a second",
        unit: "1/s",
        values: names.map((name) => callsPerSecond(results[name])),
        ...ratioAtLeast(callsPerSecond(weir), callsPerSecond(bare), 0.5, ratios(weir, bare, callsPerSecond)),
      },
      { figure: "CPU per stream", unit: "ms", values: cpu, compared: ratio(cpuPerCall(weir) / cpuPerCall(bare)) },
    ],
  };
}
