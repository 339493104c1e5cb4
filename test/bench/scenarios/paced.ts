import { moreByAtMost, percentile, type Row, ratio, ratioAtMost, type Section } from "../figures.ts";
import { alternate, type Bench, cpuPerCall, type Round, ratios } from "../rounds.ts";
import { startBenchServer } from "../server.ts";

const streams = 100;
/** As many as leave the processor time to spare: where it has none, a latency is the length of a queue. */
const fewStreams = 20;
const names = ["direct", "bare", "pump", "weir", "unwritten"] as const;
/** What its writes cost has been seen by then. */
const crowd = ["direct", "bare", "pump", "weir"] as const;
const beside = ["bare", "pump", "weir"] as const;
type Results = Record<(typeof names)[number], Round[]>;
type Times = Partial<Results>;

/** Streams as models send them: 100 chunks, 10 ms apart, 100 at once, again with the streams coming one by one, and few at a time. */
export async function paced(bench: Bench): Promise<Section> {
  await using server = await startBenchServer(bench.upstreamUrl, bench.signal);
  const plan = { model: "paced-100x10", stream: true, clients: streams, calls: streams };
  // The short form does not warm up: it shows that all of it works.
  const all = bench.short ? { names, rounds: 1, warm: true } : { names, rounds: 5 };
  const together = await alternate(bench, { server, ...all }, plan);
  const later = (names: readonly (typeof crowd)[number][], rounds: number) =>
    bench.short
      ? { server, names: ["bare", "weir"] as const, rounds: 1, warm: true }
      : { server, names, rounds, warm: true };
  // Their starts are spread over the length of one, so that a stream meets others under way, not a queue of starts.
  const spread: Times = await alternate(bench, later(crowd, 3), { ...plan, startEveryMs: 10 });
  const few = { clients: fewStreams, calls: bench.short ? fewStreams : streams, startEveryMs: 1_000 / fewStreams };
  const quiet: Times = await alternate(bench, later(beside, 2), { ...plan, ...few });
  return {
    title: "Paced streams: 100 chunks of about 300 bytes, 10 ms apart, 100 streams at once",
    method:
      "CPU: utime + stime of workerd until it is quiet again. “pump”: a Worker that reads each chunk and writes it, and no " +
      "more. “unwritten”: weir with its writes to D1 answered by a stub.",
    columns: [...names],
    rows: [
      cpuRow("CPU per stream, all start at once", together),
      d1Row(together),
      cpuRow("CPU per stream, starts 10 ms apart", spread),
      ...firstRows("first event, all start at once", together),
      ...firstRows("first event, starts 10 ms apart", spread),
      ...gapRows("gap, all start at once", together),
      ...gapRows("gap, starts 10 ms apart", spread),
      ...firstRows(`first event, ${fewStreams} at once`, quiet),
      ...gapRows(`gap, ${fewStreams} at once`, quiet),
    ],
  };
}

function cpuRow(figure: string, results: Times): Row {
  const { bare = [], weir = [] } = results;
  const values = names.map((name) => (name === "direct" || !results[name] ? null : cpuPerCall(results[name])));
  const compared = ratioAtMost(cpuPerCall(weir), cpuPerCall(bare), 2.8, ratios(weir, bare, cpuPerCall));
  return { figure, unit: "ms", values, ...compared };
}

function d1Row({ bare, weir, unwritten }: Results): Row {
  const share = cpuPerCall(weir) - cpuPerCall(unwritten);
  return {
    figure: "of it D1's two writes",
    unit: "ms",
    values: [null, null, null, share, null],
    compared: ratio(share / cpuPerCall(bare)),
  };
}

function firstRows(figure: string, results: Times): Row[] {
  return quantileRows(figure, results, {
    bounds: { p50: 3, p99: 15 },
    of: (rounds) => rounds.flatMap(({ calls }) => calls.flatMap(({ firstMs }) => firstMs ?? [])),
  });
}

function gapRows(figure: string, results: Times): Row[] {
  return quantileRows(figure, results, {
    bounds: { p99: 5 },
    of: (rounds) => rounds.flatMap(({ calls }) => calls.flatMap(({ gapsMs }) => gapsMs)),
  });
}

function quantileRows(
  figure: string,
  results: Times,
  { bounds, of }: { bounds: { p50?: number; p99: number }; of: (rounds: Round[]) => number[] },
): Row[] {
  return ([0.5, 0.99] as const).map((p) => {
    const values = names.map((name) => (results[name] ? percentile(of(results[name]), p) : null));
    const [bare, weir] = [values[1] ?? Number.NaN, values[3] ?? Number.NaN];
    const bound = p === 0.5 ? bounds.p50 : bounds.p99;
    const compared = bound === undefined ? {} : moreByAtMost(weir, bare, bound, "ms");
    return { figure: `${figure}, p${p * 100}`, unit: "ms", values, ...compared };
  });
}
