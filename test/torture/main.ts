import { failureText } from "../../src/local/project.ts";
import { commandStop } from "../bench/commandStop.ts";
import { readOptions } from "./options.ts";
import { table } from "./table.ts";
import { torture } from "./torture.ts";

/*
 * npm run torture: the real server, killed again and again while jobs of many shapes run on it, upstreams break, and
 * watchers come and go; then everything it had promised is checked. Loopback only; every process ends with it.
 */

/** Longest run, ms, over what its kills take. */
const boundMs = { short: 170_000, long: 1_200_000 };
const shownFaults = 200;

const stop = commandStop();

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const { seed, jobs, events, kills, short } = options;
  console.log(`seed ${seed}: ${jobs} jobs, ${events} events, ${kills} kills\n`);
  stop.haltAfter(boundMs[short ? "short" : "long"], "It took too long.");
  const verdict = await torture(options, stop.signal);
  console.log(`${table(verdict)}\n`);
  if (verdict.faults.length === 0) return console.log("Every promise was kept.");
  for (const fault of verdict.faults.slice(0, shownFaults)) console.log(`  ${fault}`);
  const repeat = `npm run torture -- --seed ${seed} --jobs ${jobs} --events ${events} --kills ${kills}${short ? " --short" : ""}`;
  console.log(`\n${verdict.faults.length} promises were broken. The same plan again: ${repeat}`);
  process.exitCode = 1;
}

try {
  await main();
} catch (thrown) {
  console.error(stop.signal.aborted ? (stop.signal.reason as Error).message : failureText(thrown));
  process.exitCode = 1;
}
// Miniflare's handler of `exit` ends workerd whatever was left.
process.exit();
