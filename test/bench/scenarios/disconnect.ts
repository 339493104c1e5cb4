import { RunWithContents } from "../../../src/contract/runs.ts";
import { call } from "../../../src/local/api.ts";
import { percentile, type Row, type Section } from "../figures.ts";
import type { Departure } from "../leave.ts";
import type { Bench } from "../rounds.ts";
import { type BenchServer, startBenchServer } from "../server.ts";
import { until } from "../until.ts";

const streams = 200;
const boundMs = 10_000;
const goalMs = 1_000;
const names = ["direct", "bare", "weir"] as const;

/** Clients that leave in the middle: how soon the upstream is let go, and what the log says of the runs. */
export async function disconnect(bench: Bench): Promise<Section> {
  await using server = await startBenchServer(bench.upstreamUrl, bench.signal);
  const delays: Record<string, number[]> = {};
  const left: Record<string, Departure[]> = {};
  for (const name of names) {
    // 20 ms apart: with 200 streams as many chunks a second as in the paced scenario.
    const plan = { door: server.doors[name], model: "paced-500x20", streams, maxEvents: 50 };
    left[name] = await bench.client.call("leave", plan);
    delays[name] = await closings(bench, left[name]);
  }
  const weir = delays["weir"] ?? [];
  const p99 = percentile(weir, 0.99);
  const recorded = await cancelledRuns(server, left["weir"] ?? []);
  return {
    title: `Disconnects: ${streams} clients leave after the headers and up to 50 chunks`,
    method: "From the client's closing its connection to the upstream's seeing its own closed; then the run log.",
    columns: [...names],
    rows: [
      { figure: "upstream closed, p50", unit: "ms", values: names.map((name) => percentile(delays[name] ?? [], 0.5)) },
      {
        figure: "upstream closed, p99",
        unit: "ms",
        values: names.map((name) => percentile(delays[name] ?? [], 0.99)),
        compared: `${p99.toFixed(1)} ms`,
        goal: `< ${goalMs} ms`,
        ok: p99 < goalMs,
      },
      countRow(
        "upstreams closed",
        names.map((name) => delays[name]?.length ?? 0),
      ),
      countRow("runs cancelled with their partial text", [null, null, recorded]),
    ],
  };
}

function countRow(figure: string, values: (number | null)[]): Row {
  const weir = values[2] ?? 0;
  return {
    figure,
    unit: "count",
    values,
    compared: `${weir} of ${streams}`,
    goal: `${streams} of ${streams}`,
    ok: weir === streams,
  };
}

/** From leaving to closing, ms, for all streams that were closed within the bound. */
async function closings({ upstream, signal }: Bench, departures: Departure[]): Promise<number[]> {
  const closedAtMs = new Map<string, number>();
  await until(signal, boundMs, async () => {
    for (const [text, atMs] of Object.entries(await upstream.call("closings"))) closedAtMs.set(text, atMs);
    return departures.every(({ text }) => closedAtMs.has(text));
  });
  return departures.flatMap(({ text, leftAtMs }) => {
    const atMs = closedAtMs.get(text);
    return atMs === undefined ? [] : [atMs - leftAtMs];
  });
}

async function cancelledRuns(server: BenchServer, departures: Departure[]): Promise<number> {
  const get = { path: "runs.get", type: "query", output: RunWithContents } as const;
  let cancelled = 0;
  for (const { runId } of departures) {
    if (runId === null) continue;
    let found = await call(server, get, { id: runId });
    await until(AbortSignal.timeout(boundMs), boundMs, async () => {
      if (found.run.status === "running") found = await call(server, get, { id: runId });
      return found.run.status !== "running";
    });
    if (found.run.status === "cancelled" && found.contents?.content) cancelled++;
  }
  return cancelled;
}
