import { shapes } from "./plan.ts";
import type { Verdict } from "./torture.ts";

const ends = ["succeeded", "failed", "cancelled", "interrupted"];

/** What happened, as lines of text. */
export function table({ cases, batches, hooks, sinks, deaths, logged, playedMs, quietMs }: Verdict): string {
  const rows = Object.keys(shapes).map((shape) => {
    const of = cases.filter(({ witness }) => witness.plan.shape === shape);
    const runs = of.flatMap(({ rows }) => rows);
    const attempts = runs.reduce((sum, run) => sum + run.attempts.length, 0);
    const calls = of.reduce((sum, one) => sum + one.calls, 0);
    return [
      shape,
      of.length,
      runs.length,
      ...ends.map((end) => runs.filter(({ status }) => status === end).length),
      attempts,
      calls,
    ];
  });
  const sums = rows.reduce<(string | number)[]>(
    (sum, row) => row.map((cell, at) => (at === 0 ? "all" : Number(cell) + Number(sum[at] ?? 0))),
    [],
  );
  const lines = [["", "jobs", "accepted", ...ends, "attempts", "calls"], ...rows, sums].map((line) => line.map(String));
  const widths = lines[0]?.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0))) ?? [];
  const text = lines.map((line) =>
    line.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join("  "),
  );
  const watchers = cases.reduce((sum, { witness }) => sum + witness.watched.length, 0);
  const repeats = cases.reduce((sum, { witness }) => sum + witness.repeatIds.size, 0);
  const answers = hooks.reduce((sum, hook) => sum + hook.answers.length, 0);
  const told = [...sinks.steady.received.values()];
  const attempts = told.reduce((sum, message) => sum + message.attempts, 0);
  const reconnects = cases.reduce((sum, { witness }) => sum + witness.reconnects, 0);
  const restartMs = deaths.map(({ atMs, backAtMs }) => backAtMs - atMs).toSorted((a, b) => a - b);
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  return [
    ...text,
    "",
    `kills ${deaths.length}, each ${restartMs[0] ?? 0} to ${restartMs.at(-1) ?? 0} ms until the runtime was there again`,
    `watchers ${watchers}, reconnected ${reconnects} times`,
    `batches ${batches}, repeated jobs ${repeats}`,
    `events ${hooks.length}, answered ${answers} times; ends told ${told.length}, in ${attempts} attempts; gone after ${sinks.gone.received.size}`,
    `played ${seconds(playedMs)} s, quiet after ${seconds(quietMs)} s more`,
    `logged: ${[...logged].map(([event, count]) => `${event} ${count}`).join(", ") || "nothing"}`,
  ].join("\n");
}
