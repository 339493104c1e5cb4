import { isDeepStrictEqual } from "node:util";
import type { JobEvent } from "../../src/contract/jobs.ts";
import { limits } from "../../src/contract/limits.ts";
import { ToldAnswer } from "../../src/core/answerDelta.ts";
import { deltasOf, toldBy } from "./answers.ts";
import type { Witness } from "./jobs.ts";
import { type JobPlan, shapes } from "./plan.ts";
import type { Row } from "./record.ts";

/** What happened to a job, from all sides. */
export type Case = {
  witness: Witness;
  /** The runs on record that bear its tag. */
  rows: Row[];
  /** Each row's events, told from the beginning; null when they could not be had. */
  replays: Map<string, JobEvent[] | null>;
  calls: number;
  /** Whether an outage met one of its calls. */
  struck: boolean;
};

/** When the runtime was killed, and when it was there again, ms since the epoch. */
export type Death = { atMs: number; backAtMs: number };

/** What is wrong with a job; empty: nothing. */
export function faultsOf(one: Case, deaths: readonly Death[]): string[] {
  const { witness, rows, replays } = one;
  const faults = [...witness.faults, ...acceptance(one)];
  for (const row of rows) {
    const events = replays.get(row.id);
    if (!events) faults.push(`${row.id}: its events cannot be had`);
    else faults.push(...logFaults(row, events).map((fault) => `${row.id}: ${fault}`));
    faults.push(...endFaults(one, row, deaths).map((fault) => `${row.id}: ${fault}`));
    for (const [at, { runId, seen }] of witness.watched.entries())
      if (events && runId === row.id && !isDeepStrictEqual(seen, events))
        faults.push(`${row.id}: watcher ${at} has seen other events: ${firstDifference(seen, events)}`);
  }
  return faults;
}

/** Accepted once, and repeated once: one id each, one row each. */
function acceptance({ witness: { plan, runIds, repeatIds }, rows, calls }: Case): string[] {
  const faults: string[] = [];
  const repeats = rows.filter(({ retryOf }) => retryOf !== null);
  if (runIds.size > 1) faults.push(`submitted once, accepted as ${[...runIds].join(", ")}`);
  if (repeatIds.size > 1) faults.push(`repeated once, accepted as ${[...repeatIds].join(", ")}`);
  if (rows.length - repeats.length > 1) faults.push(`has ${rows.length - repeats.length} rows`);
  if (repeats.length > (plan.repeated ? 1 : 0)) faults.push(`has ${repeats.length} rows that repeat it`);
  for (const { id, retryOf } of repeats)
    if (!runIds.has(retryOf ?? "")) faults.push(`${id}: repeats ${retryOf}, which is another job`);
  for (const id of [...runIds, ...repeatIds])
    if (!rows.some((row) => row.id === id)) faults.push(`${id}: was accepted and is not on record`);
  if (plan.keyed && runIds.size === 0) faults.push("was never accepted");
  if (plan.repeated && runIds.size > 0 && repeatIds.size === 0) faults.push("was never repeated");
  const recorded = rows.reduce((sum, { attempts }) => sum + attempts.length, 0);
  if (calls > recorded) faults.push(`${rows[0]?.id}: ${calls} calls of the upstream, ${recorded} attempts on record`);
  return faults;
}

/** The log is whole and agrees with the record. */
function logFaults({ status, attempts, answer }: Row, events: readonly JobEvent[]): string[] {
  const faults: string[] = [];
  const gap = events.findIndex(({ seq }, at) => seq !== at + 1);
  if (gap >= 0) faults.push(`event ${gap + 1} is numbered ${events[gap]?.seq}`);
  const last = events.at(-1);
  if (events.filter(({ type }) => type === "done").length !== 1 || last?.type !== "done")
    return [...faults, "has not one `done` at its end"];
  if (last.run.status !== status) faults.push(`ended as ${last.run.status}, is on record as ${status}`);
  if (!isDeepStrictEqual(last.run.attempts, attempts)) faults.push("its attempts on record are others than those told");
  const told = new ToldAnswer();
  for (const event of events) told.add(event);
  const kept = answer ?? { content: null, reasoning: null, toolCalls: [] };
  if (
    told.content !== kept.content ||
    told.reasoning !== kept.reasoning ||
    !isDeepStrictEqual(told.toolCalls, kept.toolCalls)
  )
    faults.push("the answer told is not the one on record");
  return faults;
}

/** It ended as its script and what befell it allow, with what its last answered call has said. */
function endFaults(one: Case, row: Row, deaths: readonly Death[]): string[] {
  const { plan } = one.witness;
  const faults: string[] = [];
  if (!allowedEnds(one, row, deaths).has(row.status))
    faults.push(
      `${plan.shape} (${plan.onInterrupt}) ended as ${row.status} ${row.errorCode ?? ""}: ${JSON.stringify(row.attempts)}`,
    );
  const { cancelled } = one.witness;
  if (cancelled?.runId === row.id && cancelled.status !== row.status)
    faults.push(`cancelling it said ${cancelled.status}, it is ${row.status}`);
  const fault = answerFault(plan, row);
  return fault === null ? faults : [...faults, fault];
}

function allowedEnds({ witness, struck }: Case, { attempts, createdAt }: Row, deaths: readonly Death[]): Set<string> {
  const { plan } = witness;
  const allowed = new Set<string>([shapes[plan.shape]]);
  if (plan.cancelMs !== null || witness.cancelledWith) allowed.add("cancelled");
  if (struck) allowed.add("failed");
  const last = attempts.at(-1);
  const startedAtMs = createdAt + (last?.startedMs ?? 0);
  const killed = deaths.some(
    ({ atMs, backAtMs }) => startedAtMs <= backAtMs && createdAt + (last?.endedMs ?? 0) >= atMs,
  );
  const gaveUp = plan.onInterrupt === "keep" || attempts.length >= limits.maxJobAttempts;
  if (gaveUp && last?.error === "unavailable" && killed) allowed.add("interrupted");
  return allowed;
}

function answerFault({ script, tag }: JobPlan, { status, answer }: Row): string | null {
  const content = answer?.content ?? "";
  const reasoning = answer?.reasoning ?? "";
  const toolCalls = (answer?.toolCalls ?? []).map((call) => call.function.arguments).join("|");
  const call = Number(/^[ht]\w+\.(\d+)\./.exec(reasoning || content || toolCalls)?.[1] ?? 0);
  if (call === 0) return status === "succeeded" ? "succeeded without an answer" : null;
  const deltas = deltasOf(script, tag, call);
  const whole = toldBy(deltas);
  if (status === "succeeded")
    return isDeepStrictEqual({ content, reasoning, toolCalls }, whole)
      ? null
      : "its answer is not what the upstream has said";
  const begun = whole.content.startsWith(content) && whole.reasoning.startsWith(reasoning);
  return begun ? null : "its partial answer is not how the upstream began";
}

function firstDifference(seen: readonly JobEvent[], events: readonly JobEvent[]): string {
  const at = events.findIndex((event, index) => !isDeepStrictEqual(event, seen[index]));
  if (at < 0) return `${seen.length} events instead of ${events.length}`;
  return `${JSON.stringify(seen[at])?.slice(0, 200)} instead of ${JSON.stringify(events[at])?.slice(0, 200)}`;
}
