import { limits } from "../contract/limits.ts";
import type { Trigger } from "../contract/triggers.ts";
import type { TimedCache } from "./cache.ts";
import { AppError } from "./errors.ts";
import { type Expression, parseExpression } from "./expressions.ts";
import { type ParsedMapping, parseMapping } from "./mapping.ts";
import type { DailyBudget, Principal } from "./principal.ts";
import type { SecretBox, SecretPlace } from "./secretBox.ts";
import { schemes } from "./signatures.ts";

/** A trigger as it is stored; an archived one has no secrets. */
export type StoredTrigger = {
  projectId: string;
  trigger: Trigger;
  sealedSecret: string | null;
  /** The one before, taken until `trigger.previousSecretUntil`. */
  sealedPrevious: string | null;
};

/** What a trigger's runs and events are subject to. */
export type ProjectTerms = {
  keepContents: boolean;
  retentionDays: number | null;
  budget: DailyBudget | null;
  maxJobs: number | null;
};

export type TriggerOfProject = StoredTrigger & { project: ProjectTerms };

/** A trigger ready to receive. */
export type LiveTrigger = {
  trigger: Trigger;
  project: ProjectTerms;
  /** Whose the runs are: the trigger's own, in its project. */
  principal: Principal;
  mapping: ParsedMapping;
  /** Where the sender's id stands in the body, for schemes that have no place of their own. */
  eventId: Expression | null;
  /** Names of the headers that are kept with an event, in lower case. */
  keptHeaders: readonly string[];
  /** Those that are taken now. Opened when first asked for; throws `unavailable` where that cannot be done. */
  secrets: (nowMs: number) => Promise<string[]>;
};

export type FindLiveTrigger = (id: string) => Promise<LiveTrigger | null>;

export type LiveTriggerPorts = {
  /** Null when there is none of that id, or it is archived. */
  findActiveTrigger: (id: string) => Promise<TriggerOfProject | null>;
  box: SecretBox;
  /** Lives as long as the isolate; its keys are ids of triggers. */
  cache: TimedCache<LiveTrigger>;
};

/** Finds a trigger by its address, asking the store only when the isolate's memory has aged. */
export function findLiveTrigger({ findActiveTrigger, box, cache }: LiveTriggerPorts): FindLiveTrigger {
  async function find(id: string): Promise<LiveTrigger | null> {
    const found = await findActiveTrigger(id).catch((cause: unknown) => {
      throw new AppError("unavailable", "Triggers cannot be looked up at the moment.", {
        cause,
        retryAfterSeconds: limits.unavailableRetryAfterSeconds,
      });
    });
    return found && liveTrigger(found, box);
  }

  return (id) => cache.recall(id, () => find(id));
}

export function liveTrigger(stored: TriggerOfProject, box: SecretBox): LiveTrigger {
  const { trigger, project } = stored;
  const mapping = parseMapping(trigger);
  const { eventId: place } = trigger;
  const eventId = place && "expression" in place ? parseExpression(place.expression, "eventId") : null;
  const named = place && "header" in place ? [place.header.toLowerCase()] : (eventId?.headers ?? []);
  // The values, not their promise: another request must not wait for this one's work.
  let opened: { current: string; previous: string | null } | null = null;
  return {
    trigger,
    project,
    principal: principalOf(stored),
    mapping,
    eventId,
    keptHeaders: [...new Set([...schemes[trigger.scheme].keptHeaders, ...named, ...mapping.headers])],
    async secrets(nowMs) {
      opened ??= await openSecrets(stored, box);
      const { current, previous } = opened;
      const overlaps = Date.parse(trigger.previousSecretUntil ?? "") > nowMs;
      return previous !== null && overlaps ? [current, previous] : [current];
    },
  };
}

async function openSecrets({ projectId, trigger, sealedSecret, sealedPrevious }: StoredTrigger, box: SecretBox) {
  if (sealedSecret === null) throw new Error("a trigger without a secret is no live one");
  const place = secretPlace(projectId, trigger.id);
  return {
    current: await box.open(sealedSecret, place),
    previous: sealedPrevious === null ? null : await box.open(sealedPrevious, place),
  };
}

/** Where a trigger's secrets are sealed for. */
export function secretPlace(projectId: string, recordId: string): SecretPlace {
  return { projectId, recordId, field: "secret" };
}

/** In the run log the trigger stands where a key does. */
function principalOf({ projectId, trigger, project }: TriggerOfProject): Principal {
  return {
    projectId,
    keyId: trigger.id,
    kind: "secret",
    scopes: [],
    origins: [],
    keepContents: project.keepContents,
    limits: {
      quotaId: trigger.id,
      requestsPerMinute: null,
      key: null,
      project: project.budget,
      projectMaxJobs: project.maxJobs,
    },
  };
}

/** The cache's measure: what a trigger's mapping takes parsed, roughly, bytes. */
export function sizeOfLiveTrigger({ trigger }: LiveTrigger): number {
  return 20 * JSON.stringify(trigger).length;
}
