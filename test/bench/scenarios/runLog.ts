import { database } from "../../../src/store/db.ts";
import { listRuns } from "../../../src/store/runList.ts";
import { sumUsage } from "../../../src/store/runStats.ts";
import { costOf, meteredD1 } from "../../support/meteredD1.ts";
import { percentile, type Row, type Section } from "../figures.ts";
import type { Bench } from "../rounds.ts";
import { fillRuns, newestDay } from "../runs.ts";
import { type BenchServer, startBenchServer } from "../server.ts";

/** Calls of each query. */
const repeats = { short: 6, whole: 30 };
const columnNames = (sizes: readonly number[]) => sizes.flatMap((size) => [`${short(size)} rows`, "p50 ms", "p99 ms"]);
const short = (size: number) => (size >= 1_000_000 ? `${size / 1_000_000} M` : `${size / 1_000} k`);

const dayMs = 86_400_000;
const day = (back: number) => new Date(newestDay - back * dayMs).toISOString().slice(0, 10);

type Query = { figure: string; procedure: "runs.list" | "runs.stats"; input: (halfway: string) => object };

const queries: Query[] = [
  { figure: "runs.list, newest", procedure: "runs.list", input: () => ({}) },
  { figure: "runs.list, half way down", procedure: "runs.list", input: (cursor) => ({ cursor }) },
  { figure: "runs.list, status failed", procedure: "runs.list", input: () => ({ status: "failed" }) },
  {
    figure: "runs.list, template and model",
    procedure: "runs.list",
    input: () => ({ template: "triage", model: "large" }),
  },
  { figure: "runs.list, metadata pair", procedure: "runs.list", input: () => ({ metadata: { user: "u7" } }) },
  { figure: "runs.list, a word", procedure: "runs.list", input: () => ({ text: "w17" }) },
  { figure: "runs.stats, 30 days by day", procedure: "runs.stats", input: () => ({ from: day(29), to: day(0) }) },
  {
    figure: "runs.stats, 365 days by model",
    procedure: "runs.stats",
    input: () => ({ from: day(364), to: day(0), groupBy: "model" }),
  },
];

type Measured = { rowsRead: number; p50: number; p99: number };

/** The run log as it grows: rows read (which D1 bills) and times of lists and sums. */
export async function runLog(bench: Bench): Promise<Section> {
  const sizes = bench.short ? [10_000, 20_000] : [10_000, 100_000, 1_000_000];
  await using server = await startBenchServer(bench.upstreamUrl, bench.signal);
  const calls = repeats[bench.short ? "short" : "whole"];
  const measured: Measured[][] = queries.map(() => []);
  let filled = 0;
  for (const size of sizes) {
    const { projectId, halfway } = await fillRuns(server.database, { from: filled, to: size, signal: bench.signal });
    filled = size;
    for (const [at, query] of queries.entries()) {
      bench.signal.throwIfAborted();
      measured[at]?.push(await measure(server, query, { projectId, halfway, calls }));
    }
  }
  return {
    title: `The run log at ${sizes.map(short).join(", ")} runs: lists of 50, sums over days`,
    method: `Rows as D1 counts them, by the store's own functions; times of ${calls} calls through the door, one by one.`,
    columns: columnNames(sizes),
    rows: queries.map(({ figure, procedure }, at) => row(figure, procedure, measured[at] ?? [])),
  };
}

function row(figure: string, procedure: Query["procedure"], measured: Measured[]): Row {
  const values = measured.flatMap(({ rowsRead, p50, p99 }) => [rowsRead, p50, p99]);
  const least = measured[0]?.rowsRead ?? 0;
  const most = measured.at(-1)?.rowsRead ?? Number.NaN;
  const goal = { compared: `${most} against ${least}`, goal: "no more rows", ok: most <= least };
  return { figure, unit: "", values, ...(procedure === "runs.list" && goal) };
}

async function measure(
  server: BenchServer,
  { procedure, input }: Query,
  { projectId, halfway, calls }: { projectId: string; halfway: string; calls: number },
): Promise<Measured> {
  const asked = input(halfway);
  const metered = meteredD1(server.database);
  const db = database(metered);
  if (procedure === "runs.list") await listRuns(db)(projectId, { limit: 50, ...asked });
  else await sumUsage(db)(projectId, { groupBy: "day", from: day(0), to: day(0), ...asked });
  const url = `${server.url}/trpc/${procedure}?input=${encodeURIComponent(JSON.stringify(asked))}`;
  const headers = { authorization: `Bearer ${server.secretKey}` };
  const times: number[] = [];
  for (let call = 0; call < calls; call++) {
    const startMs = performance.now();
    const response = await fetch(url, { headers });
    const text = await response.text();
    times.push(performance.now() - startMs);
    if (!response.ok) throw new Error(`${procedure}: ${text.slice(0, 300)}`);
  }
  return { rowsRead: costOf(metered).rowsRead, p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}
