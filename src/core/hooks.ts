import type { HookAnswer } from "../contract/events.ts";
import type { RequestsPerMinute } from "../contract/keys.ts";
import { limits } from "../contract/limits.ts";
import type { AskRate } from "./admission.ts";
import { hexOf, sha256Hex } from "./digest.ts";
import { AppError } from "./errors.ts";
import type { EventIdentity, EventStore, HeldEvent, NewEvent } from "./eventPorts.ts";
import {
  type EventRunPorts,
  type MadeOfEvent,
  madeOfEvent,
  parsedBody,
  payloadEndsAt,
  type ReceivedPayload,
} from "./eventRun.ts";
import { evaluate, newBudget } from "./expressions.ts";
import { newId } from "./ids.ts";
import type { JobObjects } from "./jobPorts.ts";
import type { JobUseCases } from "./jobs.ts";
import type { FindLiveTrigger, LiveTrigger } from "./liveTrigger.ts";
import { identified, type SenderId, schemes, slackChallenge } from "./signatures.ts";
import type { HeaderOf } from "./standardWebhooks.ts";

export type HookPorts = EventRunPorts &
  Pick<EventStore, "receiveEvent"> & {
    findLiveTrigger: FindLiveTrigger;
    startJob: JobObjects["start"];
    /** Waits for a job's end. */
    jobResult: JobUseCases["result"];
    askRate: AskRate;
    /** Holds the invocation for what goes on after the answer. */
    keepAlive: (work: Promise<unknown>) => void;
    log: (event: string, fields: Record<string, unknown>) => void;
  };

/** A request to a trigger's address; the body is no longer than `limits.maxHookBytes`. */
export type HookRequest = { triggerId: string; header: HeaderOf; body: Uint8Array };

export type HookReply =
  /** What Slack asks an address before it sends anything. */
  { kind: "challenge"; challenge: string } | { kind: "event"; isNew: boolean; answer: HookAnswer };

/** Receives events. */
export function hookUseCases(ports: HookPorts) {
  /** Counts a request; a counter that fails is no reason to refuse anybody. */
  async function checkRate(triggerId: string, rate: RequestsPerMinute): Promise<void> {
    const within = await ports.askRate(rate, triggerId).catch((cause: unknown) => {
      ports.log("rate_not_counted", { quotaId: triggerId, cause });
      return true;
    });
    if (within) return;
    throw new AppError("rate_limited", `This trigger takes ${rate} events a minute.`, {
      details: { limit: { requestsPerMinute: rate } },
      retryAfterSeconds: limits.rateRetryAfterSeconds,
    });
  }

  async function store(live: LiveTrigger, received: Received, made: MadeOfEvent): Promise<HeldEvent> {
    const { eventId, receivedAtMs, identity } = received;
    const { trigger, principal } = live;
    const row = { id: eventId, projectId: principal.projectId, triggerId: trigger.id, receivedAtMs };
    const held = await ports.receiveEvent({ ...row, ...identity, ...outcomeOf(live, received, made) });
    if (held.eventId !== eventId || made.status !== "accepted") return held;
    // What is on record is started by the sweeper if this fails: the event is accepted all the same.
    const { spec } = made;
    const starting = ports
      .startJob(spec)
      .catch((cause: unknown) => ports.log("job_not_started", { runId: spec.start.id, cause }));
    if (trigger.respond === "sync") await starting;
    else ports.keepAlive(starting);
    return held;
  }

  return {
    /**
     * Takes a request: `not_found` without such a trigger, `unauthenticated`, in one wording whatever the cause, where
     * its signature is none of the trigger's, `rate_limited` beyond its rate, `invalid_request` for a body that is no
     * text. Then the event is on record, with its job in the same write: what is answered is neither lost nor run twice.
     * An event that was received before is told as the first one. Throws `unavailable` where nothing was stored.
     */
    async receive(request: HookRequest, clientGone: AbortSignal): Promise<HookReply> {
      const { triggerId, header, body } = request;
      const live = await ports.findLiveTrigger(triggerId);
      if (!live) throw new AppError("not_found", "There is no such trigger.");
      const receivedAtMs = ports.now();
      const { scheme, hmac, requestsPerMinute: rate, respond } = live.trigger;
      const secrets = await live.secrets(receivedAtMs);
      const options = { nowSeconds: Math.floor(receivedAtMs / 1000), hmac };
      if (!(await schemes[scheme].verify(secrets, { header, body }, options))) throw refusal();
      if (rate !== null) await checkRate(triggerId, rate);
      const payload = payloadOf(live, request);
      const parsed = parsedBody(payload);
      const told = orNull(parsed);
      const challenge = scheme === "slack" ? slackChallenge(told) : null;
      if (challenge !== null) return { kind: "challenge", challenge };
      const identity = await identityOf(body, senderIdOf(live, { header, parsed: told, payload }));
      const received = { ...payload, parsed, eventId: newId("evt", receivedAtMs), receivedAtMs, identity };
      const held = await store(live, received, await madeOfEvent(ports, live, received));
      const answer: HookAnswer = { ...held, duplicate: held.eventId !== received.eventId };
      if (respond === "sync" && held.runId !== null) {
        const input = { runId: held.runId, waitMs: limits.hookWaitMs };
        const { run, runId: _, ...result } = await ports.jobResult(live.principal, input, clientGone);
        if (run) answer.result = result;
      }
      return { kind: "event", isNew: !answer.duplicate, answer };
    },
  };
}

export type HookUseCases = ReturnType<typeof hookUseCases>;

type Received = ReceivedPayload & {
  parsed: () => unknown;
  eventId: string;
  receivedAtMs: number;
  identity: EventIdentity;
};

/** What is written of an event with what it has come to. */
export function outcomeOf(
  live: LiveTrigger,
  { text, contentType, headers, receivedAtMs }: ReceivedPayload & { receivedAtMs: number },
  made: MadeOfEvent,
): Pick<NewEvent, "status" | "error" | "payload" | "job"> {
  const failed = made.status === "failed";
  const expiresAtMs = payloadEndsAt(live, { failed, nowMs: receivedAtMs });
  const isKept = expiresAtMs === null || expiresAtMs > receivedAtMs;
  return {
    status: made.status,
    error: failed ? made.error : null,
    payload: isKept ? { text, contentType, headers, expiresAtMs } : null,
    job: made.status === "accepted" ? { ...made.spec, json: made.json } : null,
  };
}

function refusal(): AppError {
  return new AppError("unauthenticated", "The request is not signed as this trigger demands.");
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

function payloadOf({ keptHeaders }: LiveTrigger, { header, body }: HookRequest): ReceivedPayload {
  const headers: Record<string, string> = {};
  for (const name of keptHeaders) {
    const value = header(name);
    if (value) headers[name] = value.slice(0, limits.maxKeptHeaderChars);
  }
  try {
    const contentType = header("content-type")?.slice(0, limits.maxContentTypeChars) ?? null;
    return { text: utf8.decode(body), contentType, headers };
  } catch (cause) {
    throw new AppError("invalid_request", "The body is not UTF-8.", { cause });
  }
}

/** What is not valid is told where the event is mapped. */
function orNull(parsed: () => unknown): unknown {
  try {
    return parsed();
  } catch {
    return null;
  }
}

type Identified = { header: HeaderOf; parsed: unknown; payload: ReceivedPayload };

function senderIdOf(live: LiveTrigger, { header, parsed, payload }: Identified): SenderId | null {
  const { scheme, eventId } = live.trigger;
  if (eventId && "header" in eventId) {
    // Whoever has a bearer token may say anything; of a signed body a header is no part.
    return identified(header(eventId.header), scheme === "bearer");
  }
  if (!live.eventId) return schemes[scheme].senderId(header, parsed);
  try {
    const value = evaluate(live.eventId, { body: parsed, headers: payload.headers }, newBudget());
    const signed = scheme === "bearer" || !live.eventId.readsHeaders;
    return identified(typeof value === "number" ? String(value) : value, signed);
  } catch {
    // Without an id an event is known by its body.
    return null;
  }
}

/** An id that is not signed could be another on a repeated request: such an event is known by its body as well. */
async function identityOf(body: Uint8Array, sender: SenderId | null): Promise<EventIdentity> {
  const id = sender?.id ?? null;
  const isLong = id !== null && id.length > limits.maxSenderIdChars;
  return {
    senderId: isLong ? `sha256:${await sha256Hex(id)}` : id,
    bodyDigest: sender?.signed
      ? null
      : hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(body)))),
  };
}
