import type { Death } from "./checks.ts";
import { type HookWitness, toGone } from "./hooks.ts";
import type { EventRow, Row } from "./record.ts";
import type { Received, Sink } from "./sink.ts";

/** After it has said that it is gone, what is on its way already still comes, ms. */
const underWayMs = 1_000;

/** What all sides know of the events. */
export type HookRecord = {
  rows: readonly Row[];
  events: readonly EventRow[];
  steady: Sink;
  gone: Sink;
  deaths: readonly Death[];
};

/** What is wrong with how an event was received and its run's end was told; empty: nothing. */
export function hookFaultsOf({ plan, witness, answers }: HookWitness, record: HookRecord): string[] {
  const faults: string[] = [];
  const [runId] = witness.runIds;
  const first = answers.filter(({ duplicate }) => !duplicate);
  if (first.length > 1) faults.push(`received as new ${first.length} times`);
  for (const { httpStatus, duplicate, status } of answers)
    if (status !== "accepted" || httpStatus !== (duplicate ? 200 : 202))
      faults.push(`answered ${httpStatus} ${status}`);
  if (new Set(answers.map(({ eventId }) => eventId)).size > 1) faults.push("answered with several events");
  const events = record.events.filter((event) => event.runId === runId);
  if (events.length !== 1) faults.push(`${runId}: ${events.length} events on record`);
  if (events[0]?.id !== answers[0]?.eventId) faults.push(`${runId}: another event is on record`);
  if (plan.scheme !== toGone && runId !== undefined) faults.push(...toldFaults(runId, record));
  return faults;
}

function toldFaults(runId: string, { rows, steady }: HookRecord): string[] {
  const messages = toldOf(steady, runId);
  if (messages.length !== 1) return [`${runId}: its end was told under ${messages.length} ids`];
  const [message] = messages as [Received];
  const status = rows.find(({ id }) => id === runId)?.status;
  if (!message.taken) return [`${runId}: its end was never taken, in ${message.attempts} attempts`];
  return message.type === `run.${status}` ? [] : [`${runId}: is ${status}, and was told as ${message.type}`];
}

export function toldOf({ received }: Sink, runId: string): Received[] {
  return [...received.values()].filter((message) => message.runId === runId);
}

/** What is wrong with the events as a whole. */
export function commonFaults(
  hooks: readonly HookWitness[],
  { rows, events, steady, gone, deaths }: HookRecord,
): string[] {
  const faults = [...steady.faults, ...gone.faults];
  const known = new Set(hooks.flatMap(({ witness }) => [...witness.runIds]));
  for (const { id, tag } of rows)
    if (tag === null && !known.has(id)) faults.push(`${id}: is on record, and nobody was answered with it`);
  if (events.length !== hooks.length) faults.push(`${hooks.length} events were sent, ${events.length} are on record`);
  // A runtime that is killed before it has noted that the receiver is gone asks once more.
  const noted = gone.goneAtMs.find(
    (atMs) => !deaths.some((death) => death.atMs >= atMs && death.atMs < atMs + underWayMs),
  );
  const later = noted === undefined ? [] : gone.calledAtMs.filter((atMs) => atMs > noted + underWayMs);
  if (later.length > 0) faults.push(`${later.length} messages were sent to a receiver that is gone`);
  return faults;
}
