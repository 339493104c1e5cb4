import { forgetPeak, memoryMiB, quiet } from "../cpu.ts";
import { moreByAtMost, type Section } from "../figures.ts";
import type { Bench, DoorName } from "../rounds.ts";
import { startBenchServer } from "../server.ts";
import { until } from "../until.ts";

const clients = 50;
const bytesPerSecond = 50_000;
const boundMs = 10_000;
const mib = 1024 * 1024;

type Measured = { growth: number; poured: number; taken: number; stoppedMs: number | null };

/** Slow readers of a long answer: what they cost in memory, and that the upstream is held back and let go. */
export async function backpressure(bench: Bench): Promise<Section> {
  const forMs = bench.short ? 500 : 10_000;
  const bare = await measure(bench, "bare", forMs);
  const weir = await measure(bench, "weir", forMs);
  const stopped = weir.stoppedMs !== null;
  return {
    title: `Backpressure: ${clients} clients read a 16 MB answer at 50 KB/s for ${forMs / 1000} s, then leave`,
    method: "Each in a workerd of its own, warmed up: memory once grown is not given back. Peak: VmHWM.",
    columns: ["bare", "weir"],
    rows: [
      {
        figure: "peak memory above the level before",
        unit: "MiB",
        values: [bare.growth, weir.growth],
        ...moreByAtMost(weir.growth, bare.growth, 32, "MiB"),
      },
      {
        figure: "sent by the upstream, each",
        unit: "MiB",
        values: [bare.poured / clients / mib, weir.poured / clients / mib],
      },
      {
        figure: "taken by a client, each",
        unit: "MiB",
        values: [bare.taken / clients / mib, weir.taken / clients / mib],
      },
      {
        figure: "all upstreams stopped after",
        unit: "ms",
        values: [bare.stoppedMs, weir.stoppedMs],
        compared: stopped ? "stopped" : "still open",
        goal: "stopped",
        ok: stopped,
      },
    ],
  };
}

async function measure(bench: Bench, name: DoorName, forMs: number): Promise<Measured> {
  const { client, upstream, signal } = bench;
  await using server = await startBenchServer(bench.upstreamUrl, signal);
  const door = server.doors[name];
  await client.call("load", { door, model: "burst-300", stream: true, clients, calls: clients });
  await quiet(server.pid);
  await forgetPeak(server.pid);
  const before = await memoryMiB(server.pid);
  const pouredBefore = await upstream.call("pouredBytes");
  const taken = await client.call("slow", { door, model: "long-16", clients, bytesPerSecond, forMs });
  const { peak } = await memoryMiB(server.pid);
  const leftAtMs = performance.now();
  const stopped = await until(signal, boundMs, async () => (await upstream.call("openStreams")) === 0);
  const stoppedMs = stopped ? performance.now() - leftAtMs : null;
  const poured = (await upstream.call("pouredBytes")) - pouredBefore;
  return { growth: peak - before.now, poured, taken, stoppedMs };
}
