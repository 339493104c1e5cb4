import type { Metadata } from "../contract/chat.ts";
import type { ErrorCode } from "../contract/errors.ts";
import type { EventError } from "../contract/events.ts";
import { limits } from "../contract/limits.ts";
import type { Admit } from "./admission.ts";
import type { CompletionRequest } from "./completionRequest.ts";
import { toAppError } from "./errors.ts";
import { type Budget, newBudget } from "./expressions.ts";
import { type JobOptions, type JobSpec, specOf, storedJson, termsOf } from "./jobSpec.ts";
import type { LiveTrigger } from "./liveTrigger.ts";
import { type MappingInput, mapMetadata, mapVariables, matches } from "./mapping.ts";
import { parsePayload } from "./payload.ts";
import { type PreparePorts, prepare } from "./prepare.ts";
import { schemes } from "./signatures.ts";

export type EventRunPorts = PreparePorts & {
  /** Holds a trigger's project to its budgets. */
  admit: Admit;
  /** Milliseconds since the epoch. */
  now: () => number;
};

/** What was received, as far as it is kept. */
export type ReceivedPayload = {
  text: string;
  contentType: string | null;
  /** By lower-case name. */
  headers: Record<string, string>;
};

/** What an event comes to. */
export type MadeOfEvent =
  | { status: "accepted"; spec: JobSpec; json: string }
  | { status: "ignored" }
  | { status: "failed"; error: EventError };

/**
 * Maps an event to a job, whole but for being stored. What is wrong with trigger, payload or template, and a budget that
 * is spent, makes it `failed`: the sender could not mend it. Throws only what passes by itself: then nothing is stored,
 * and the sender tries again.
 */
export async function madeOfEvent(
  ports: EventRunPorts,
  live: LiveTrigger,
  event: Pick<ReceivedPayload, "text" | "headers"> & { eventId: string; parsed: () => unknown },
): Promise<MadeOfEvent> {
  try {
    const { text, headers, parsed } = event;
    const input = { text, headers, body: parsed() };
    const budget = newBudget();
    if (isIgnored(live, input, budget)) return { status: "ignored" };
    const { principal, trigger } = live;
    await ports.admit(principal);
    const { variables: schema } = await ports.resolveTemplate(principal.projectId, trigger.template, versionOf(live));
    const run = { input, budget };
    const { variables } = mapVariables(live.mapping, schema, run);
    const metadata = { ...mapMetadata(live.mapping, run), trigger: trigger.id, event: event.eventId };
    const request = requestOf(live, variables, metadata);
    const prepared = await prepare(ports, principal, request);
    const spec = specOf(principal, prepared, termsOf(optionsOf(live), ports.now()));
    return { status: "accepted", spec, json: storedJson({ spec, request }) };
  } catch (thrown) {
    return { status: "failed", error: eventErrorOf(thrown) };
  }
}

/** A payload's body as expressions see it, parsed once, when it is first asked for; throws each time where it cannot be. */
export function parsedBody({ text, contentType }: ReceivedPayload): () => unknown {
  let parsed: { body: unknown } | null = null;
  return () => {
    parsed ??= { body: parsePayload(text, contentType) };
    return parsed.body;
  };
}

/** Whether an event is nothing that the trigger is there for. */
export function isIgnored({ trigger, mapping }: LiveTrigger, input: MappingInput, budget: Budget): boolean {
  const isPing = schemes[trigger.scheme].isPing?.((name) => input.headers[name]) ?? false;
  return isPing || !matches(mapping, input, budget);
}

/** Passes by itself, or is our own mistake. */
const notTheEvents: readonly ErrorCode[] = ["unavailable", "internal"];

/** What is kept of an error; throws it again where the event is not to blame. */
export function eventErrorOf(thrown: unknown): EventError {
  const error = toAppError(thrown);
  if (notTheEvents.includes(error.code)) throw thrown;
  const { code, message, param } = error;
  const expression = error.details?.["expression"];
  return { code, message, param, expression: typeof expression === "string" ? expression : null };
}

const versionOf = ({ trigger }: LiveTrigger) => trigger.version ?? undefined;

function requestOf(live: LiveTrigger, variables: Record<string, unknown>, metadata: Metadata): CompletionRequest {
  const { trigger } = live;
  return {
    source: "webhook",
    template: { name: trigger.template, selector: versionOf(live), variables, inMetadata: false },
    messages: [],
    model: trigger.model ?? undefined,
    fallbacks: undefined,
    timeouts: undefined,
    fields: { ...trigger.params },
    metadata,
    stream: true,
    includeUsage: false,
    params: { template: "template", version: "version", variables: "variables" },
  };
}

/** How a trigger's jobs are run. */
function optionsOf({ trigger: { priority, callback } }: LiveTrigger): JobOptions {
  return { priority, callback: callback ?? undefined, onInterrupt: "keep" };
}

/** When an event's payload is dropped, ms since the epoch; null: never. */
export function payloadEndsAt({ project }: LiveTrigger, { failed, nowMs }: { failed: boolean; nowMs: number }) {
  const { keepContents, retentionDays } = project;
  const retained = retentionDays === null ? null : nowMs + retentionDays * 86_400_000;
  if (keepContents) return retained;
  // Kept for its replay alone, as the run it comes to would keep none of it.
  return failed ? Math.min(retained ?? Number.POSITIVE_INFINITY, nowMs + limits.failedPayloadMs) : nowMs;
}
