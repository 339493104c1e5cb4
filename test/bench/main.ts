import { mkdir, readFile, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, release } from "node:os";
import { join } from "node:path";
import { failureText, projectRoot } from "../../src/local/project.ts";
import { startChild } from "./child.ts";
import type { ClientApi } from "./client.ts";
import { commandStop } from "./commandStop.ts";
import type { Section } from "./figures.ts";
import { readOptions } from "./options.ts";
import type { Bench } from "./rounds.ts";
import { backpressure } from "./scenarios/backpressure.ts";
import { burst } from "./scenarios/burst.ts";
import { disconnect } from "./scenarios/disconnect.ts";
import { hooks } from "./scenarios/hooks.ts";
import { jobs } from "./scenarios/jobs.ts";
import { nonstream } from "./scenarios/nonstream.ts";
import { paced } from "./scenarios/paced.ts";
import { runLog } from "./scenarios/runLog.ts";
import { table } from "./table.ts";
import type { UpstreamApi } from "./upstream.ts";

/*
 * npm run bench: weir as it is built for deployment, in workerd, beside a bare Worker that returns the upstream's body
 * and beside the upstream itself, by turns in one run. Loopback only; every process ends with it.
 */

const scenarios = { paced, burst, nonstream, disconnect, backpressure, log: runLog, jobs, hooks };
type Name = keyof typeof scenarios;

/** A run that takes longer has gone wrong, ms. */
const boundMs = { short: 90_000, whole: 420_000 };

const stop = commandStop();

async function run(names: readonly Name[], bench: Bench): Promise<Section[]> {
  const sections: Section[] = [];
  for (const name of names) {
    const startMs = performance.now();
    const section = await untilStopped(scenarios[name](bench));
    console.log(`${table(section)}\n  (${((performance.now() - startMs) / 1000).toFixed(0)} s)\n`);
    sections.push(section);
  }
  return sections;
}

/** Rejects at once when the bench is stopped; what the work holds is let go by the end of the process. */
function untilStopped<T>(work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  stop.signal.addEventListener("abort", () => reject(stop.signal.reason), { once: true });
  return Promise.race([work, promise]);
}

async function versions(): Promise<Record<string, string>> {
  const of = async (name: string): Promise<string> =>
    JSON.parse(await readFile(join(projectRoot, "node_modules", name, "package.json"), "utf8")).version;
  return { node: process.version.slice(1), workerd: await of("workerd"), miniflare: await of("miniflare") };
}

async function main(): Promise<void> {
  const { short, only } = readOptions(process.argv.slice(2), Object.keys(scenarios) as Name[]);
  stop.haltAfter(short ? boundMs.short : boundMs.whole, "The bench took too long.");
  const about = {
    date: new Date().toISOString(),
    form: short ? "short" : "whole",
    ...(await versions()),
    machine: `${availableParallelism()} × ${cpus()[0]?.model ?? "?"}, Linux ${release()}`,
  };
  console.log(
    `${Object.entries(about)
      .map(([name, value]) => `${name} ${value}`)
      .join(" · ")}\n`,
  );
  using upstream = startChild<UpstreamApi>("upstream.ts", stop.signal);
  using client = startChild<ClientApi>("client.ts", stop.signal);
  const upstreamUrl = await upstream.call("listen");
  const sections = await run(only, { short, upstream, client, upstreamUrl, signal: stop.signal });
  const folder = join(projectRoot, ".weir", "bench");
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${about.date.replaceAll(":", "-").slice(0, 19)}.json`);
  await writeFile(file, `${JSON.stringify({ ...about, sections }, null, 2)}\n`);
  const over = sections.flatMap(({ rows }) => rows.filter(({ ok }) => ok === false));
  console.log(`${over.length === 0 ? "Every goal is reached." : `${over.length} over their goal.`} Written: ${file}`);
}

try {
  await main();
} catch (thrown) {
  console.error(stop.signal.aborted ? (stop.signal.reason as Error).message : failureText(thrown));
  process.exitCode = 1;
}
// Miniflare's handler of `exit` ends workerd whatever was left.
process.exit();
