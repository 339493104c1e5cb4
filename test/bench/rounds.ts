import type { Child } from "./child.ts";
import type { ClientApi } from "./client.ts";
import { cpuMs, quiet } from "./cpu.ts";
import type { LoadPlan, LoadResult } from "./load.ts";
import type { BenchServer } from "./server.ts";
import type { UpstreamApi } from "./upstream.ts";

/** What a scenario works with. */
export type Bench = {
  /** Fewer rounds, smaller amounts. */
  short: boolean;
  upstreamUrl: string;
  upstream: Child<UpstreamApi>;
  client: Child<ClientApi>;
  signal: AbortSignal;
};

export type DoorName = keyof BenchServer["doors"];
/** `cpuMs` is workerd's for the whole round, what follows the answers included. */
export type Round = LoadResult & { cpuMs: number };

/**
 * Puts the same load on each door in turn, round after round, so that a drift of the machine meets all alike. A first
 * round warms up and does not count, unless all are `warm` already.
 */
export async function alternate<Name extends DoorName>(
  { client }: Bench,
  { server, names, rounds, warm }: { server: BenchServer; names: readonly Name[]; rounds: number; warm?: boolean },
  plan: Omit<LoadPlan, "door">,
): Promise<Record<Name, Round[]>> {
  const results = Object.fromEntries(names.map((name) => [name, [] as Round[]])) as Record<Name, Round[]>;
  await quiet(server.pid);
  for (let round = warm ? 1 : 0; round <= rounds; round++) {
    for (let at = 0; at < names.length; at++) {
      // Another one begins each time: none is always the first after a pause.
      const name = names[(at + round) % names.length];
      if (name === undefined) continue;
      const before = await cpuMs(server.pid);
      const result = await client.call("load", { ...plan, door: server.doors[name] });
      await quiet(server.pid);
      if (round > 0) results[name].push({ ...result, cpuMs: (await cpuMs(server.pid)) - before });
    }
  }
  return results;
}

/** CPU of workerd per call over all rounds, ms. */
export function cpuPerCall(rounds: readonly Round[]): number {
  const calls = rounds.reduce((total, round) => total + round.calls.length, 0);
  return rounds.reduce((total, round) => total + round.cpuMs, 0) / calls;
}

/** Calls a second over all rounds. */
export function callsPerSecond(rounds: readonly Round[]): number {
  const calls = rounds.reduce((total, round) => total + round.calls.length, 0);
  return calls / (rounds.reduce((total, round) => total + round.elapsedMs, 0) / 1000);
}

/** A figure's ratio to the bare Worker's, round by round. */
export function ratios(
  rounds: readonly Round[],
  bare: readonly Round[],
  figure: (rounds: Round[]) => number,
): number[] {
  return rounds.flatMap((round, at) => {
    const base = bare[at];
    return base ? [figure([round]) / figure([base])] : [];
  });
}
