import type {
  ListEventsInput,
  PreviewTriggerInput,
  ReplayEventInput,
  TriggerEvent,
  TriggerPreview,
} from "../contract/events.ts";
import type { Page } from "../contract/paging.ts";
import { cursorOf, pageOf, startOf } from "./cursor.ts";
import { AppError } from "./errors.ts";
import type { EventStore, KeptPayload } from "./eventPorts.ts";
import {
  type EventRunPorts,
  eventErrorOf,
  isIgnored,
  madeOfEvent,
  parsedBody,
  type ReceivedPayload,
} from "./eventRun.ts";
import { newBudget } from "./expressions.ts";
import { outcomeOf } from "./hooks.ts";
import type { JobObjects } from "./jobPorts.ts";
import { type LiveTrigger, liveTrigger, type TriggerOfProject } from "./liveTrigger.ts";
import { mapMetadata, mapVariables } from "./mapping.ts";
import { parsePayload } from "./payload.ts";
import type { Principal } from "./principal.ts";
import { renderPrompt } from "./prompt.ts";
import type { SecretBox } from "./secretBox.ts";
import { checkMapping } from "./triggers.ts";

export type EventPorts = EventRunPorts &
  Omit<EventStore, "receiveEvent"> & {
    /** Archived ones included. */
    findTriggerOfProject: (projectId: string, id: string) => Promise<TriggerOfProject | null>;
    startJob: JobObjects["start"];
    box: SecretBox;
    log: (event: string, fields: Record<string, unknown>) => void;
  };

/** Events of the caller's triggers: looking at them, trying mappings with them, and running them again. */
export function eventUseCases(ports: EventPorts) {
  /** As it is now, not as it is remembered. */
  async function find({ projectId }: Principal, id: string): Promise<TriggerOfProject> {
    const found = await ports.findTriggerOfProject(projectId, id);
    if (!found) throw new AppError("not_found", "There is no such trigger.", { param: "id" });
    return found;
  }

  async function stored({ projectId }: Principal, eventId: string) {
    const found = await ports.findEvent(projectId, eventId);
    if (!found) throw new AppError("not_found", "There is no such event.", { param: "eventId" });
    return found;
  }

  return {
    /** Newest first; of one status or of all. */
    async list(principal: Principal, input: ListEventsInput): Promise<Page<TriggerEvent>> {
      const { triggerId, status, limit } = input;
      const beforeId = startOf(input.cursor, "events", /^evt_[0-9a-z]{26}$/) ?? null;
      const owner = { projectId: principal.projectId, triggerId };
      const found = await ports.listEvents(owner, { status, beforeId, limit: limit + 1 });
      if (found.length === 0 && !(await ports.findTriggerOfProject(principal.projectId, triggerId)))
        throw new AppError("not_found", "There is no such trigger.", { param: "triggerId" });
      return pageOf(found, limit, ({ id }) => cursorOf("events", id));
    },

    /**
     * Makes of an event that failed, or was ignored, what the trigger as it is now makes of it. `conflict` when it has a
     * run, which `jobs.retry` repeats, or its payload is not kept any more, or the trigger is archived.
     */
    async replay(principal: Principal, { eventId }: ReplayEventInput): Promise<TriggerEvent> {
      const { event, payload } = await stored(principal, eventId);
      if (event.runId !== null) throw hasRun(event.runId);
      if (!payload) throw notKept();
      const found = await find(principal, event.triggerId);
      if (found.trigger.archived) throw new AppError("conflict", "The event's trigger is archived.");
      const live = liveTrigger(found, ports.box);
      const made = await madeOfEvent(ports, live, { ...payload, parsed: parsedBody(payload), eventId });
      const receivedAtMs = Date.parse(event.receivedAt);
      const outcome = outcomeOf(live, { ...payload, receivedAtMs }, made);
      const settled = await ports.settleEvent(principal.projectId, eventId, outcome);
      if (!settled) throw new AppError("not_found", "There is no such event.", { param: "eventId" });
      if (made.status !== "accepted") return settled;
      if (settled.runId !== made.spec.start.id) throw hasRun(settled.runId);
      await ports
        .startJob(made.spec)
        .catch((cause: unknown) => ports.log("job_not_started", { runId: settled.runId, cause }));
      return settled;
    },

    /** What a trigger makes of a sample or a stored event, with the settings given instead of its own. Runs nothing. */
    async preview(principal: Principal, input: PreviewTriggerInput): Promise<TriggerPreview> {
      const found = await find(principal, input.id);
      const payload = input.eventId === undefined ? samplePayload(input) : await payloadOf(principal, input);
      const { template, version, variables, metadata, filter } = input;
      const trigger = {
        ...found.trigger,
        ...(template !== undefined && { template }),
        ...(version !== undefined && { version }),
        ...(variables !== undefined && { variables }),
        ...(metadata !== undefined && { metadata }),
        ...(filter !== undefined && { filter }),
      };
      await checkMapping(ports, principal.projectId, trigger);
      return previewOf(liveTrigger({ ...found, trigger }, ports.box), payload);
    },
  };

  async function payloadOf(principal: Principal, { id, eventId = "" }: PreviewTriggerInput): Promise<KeptPayload> {
    const { event, payload } = await stored(principal, eventId);
    if (event.triggerId !== id) throw new AppError("not_found", "There is no such event.", { param: "eventId" });
    if (!payload) throw notKept();
    return payload;
  }

  async function previewOf(live: LiveTrigger, payload: ReceivedPayload): Promise<TriggerPreview> {
    const { headers } = payload;
    const told: TriggerPreview = {
      payload: null,
      headers,
      ignored: false,
      variables: {},
      metadata: {},
      cut: [],
      messages: null,
      error: null,
    };
    try {
      const body = parsePayload(payload.text, payload.contentType);
      told.payload = body;
      const run = { input: { text: payload.text, headers, body }, budget: newBudget() };
      told.ignored = isIgnored(live, run.input, run.budget);
      const { trigger, principal } = live;
      const resolved = await ports.resolveTemplate(principal.projectId, trigger.template, trigger.version ?? undefined);
      Object.assign(told, mapVariables(live.mapping, resolved.variables, run));
      told.metadata = mapMetadata(live.mapping, run);
      told.messages = renderPrompt(resolved, told.variables).messages;
    } catch (thrown) {
      told.error = eventErrorOf(thrown);
    }
    return told;
  }
}

export type EventUseCases = ReturnType<typeof eventUseCases>;

function samplePayload({ sample }: PreviewTriggerInput): ReceivedPayload {
  const body = sample?.body;
  const given = Object.entries(sample?.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value] as const);
  const headers = Object.fromEntries(given);
  const isText = typeof body === "string";
  const type = headers["content-type"] ?? (isText ? null : "application/json");
  return { text: isText ? body : JSON.stringify(body ?? null), contentType: type, headers };
}

function notKept(): AppError {
  return new AppError("conflict", "The payload of this event is not kept any more.", { param: "eventId" });
}

function hasRun(runId: string | null): AppError {
  return new AppError("conflict", `This event has a run: repeat ${runId} with jobs.retry.`, {
    param: "eventId",
    details: { runId },
  });
}
