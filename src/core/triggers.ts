import { limits } from "../contract/limits.ts";
import type { Page } from "../contract/paging.ts";
import type {
  CreateTriggerInput,
  ListTriggersInput,
  RotateTriggerSecretInput,
  Trigger,
  TriggerScheme,
  TriggerWithSecret,
  UpdateTriggerInput,
} from "../contract/triggers.ts";
import type { CheckCallback } from "./callbacks.ts";
import { cursorOf, pageOf, startOf } from "./cursor.ts";
import { AppError } from "./errors.ts";
import { parseExpression } from "./expressions.ts";
import { newUnguessableId } from "./ids.ts";
import { type StoredTrigger, secretPlace } from "./liveTrigger.ts";
import { parseMapping } from "./mapping.ts";
import type { PreparePorts } from "./prepare.ts";
import type { Principal } from "./principal.ts";
import { propertiesOf, requiredOf } from "./schemaPaths.ts";
import type { SecretBox } from "./secretBox.ts";
import { schemes } from "./signatures.ts";

export type TriggerPorts = Pick<PreparePorts, "resolveTemplate"> & {
  checkCallback: CheckCallback;
  /** False, and nothing is written, when the project has `most` active triggers. */
  insertTrigger: (stored: StoredTrigger, most: number) => Promise<boolean>;
  /** Newest first, those before `beforeId` in age order when given. */
  listTriggers: (
    projectId: string,
    page: { archived: boolean; beforeId: string | null; limit: number },
  ) => Promise<Trigger[]>;
  /** Archived ones included. */
  findTrigger: (projectId: string, id: string) => Promise<Trigger | null>;
  /** Writes a trigger's settings anew if it is active and was not changed after `trigger.updatedAt`; else null. */
  updateTrigger: (projectId: string, trigger: Trigger, nowMs: number) => Promise<Trigger | null>;
  /** The secret in force becomes the one before, until `previousEndsAtMs`. Null when there is no such active trigger. */
  rotateTriggerSecret: (
    owner: { projectId: string; id: string },
    secret: { sealed: string; hint: string; previousEndsAtMs: number; nowMs: number },
  ) => Promise<Trigger | null>;
  /** Drops its secrets; keeps the time of an earlier call. Null when the project has none such. */
  archiveTrigger: (projectId: string, id: string, nowMs: number) => Promise<Trigger | null>;
  /** Drops what this isolate remembers of a trigger. */
  forgetTrigger: (id: string) => void;
  box: SecretBox;
  now: () => number;
};

/** Triggers of the caller's project. Foreign and missing ids are both `not_found`. */
export function triggerUseCases(ports: TriggerPorts) {
  async function findActive(principal: Principal, id: string): Promise<Trigger> {
    const trigger = await ports.findTrigger(principal.projectId, id);
    if (!trigger) throw missing();
    if (trigger.archived) throw new AppError("conflict", "This trigger is archived: create a new one instead.");
    return trigger;
  }

  return {
    /** `conflict` when the project has `limits.maxTriggers`; an error of the mapping names the variable or `filter`. */
    async create(principal: Principal, input: CreateTriggerInput): Promise<TriggerWithSecret> {
      const { projectId } = principal;
      const { secret: given, hmac, version, ...settings } = input;
      await checkMapping(ports, projectId, { ...settings, version: version ?? null });
      await ports.checkCallback(principal, input.callback ?? undefined);
      const secret = chosenSecret(input.scheme, given);
      const nowMs = ports.now();
      const id = newUnguessableId("trg", nowMs);
      const now = new Date(nowMs).toISOString();
      const trigger: Trigger = {
        id,
        path: pathOf(id),
        ...settings,
        hmac: hmac ?? null,
        version: version ?? null,
        secretHint: hintOf(secret),
        previousSecretUntil: null,
        createdAt: now,
        updatedAt: now,
        archived: false,
      };
      const sealedSecret = await ports.box.seal(secret, secretPlace(projectId, id));
      const stored = { projectId, trigger, sealedSecret, sealedPrevious: null };
      if (!(await ports.insertTrigger(stored, limits.maxTriggers)))
        throw new AppError("conflict", `A project has at most ${limits.maxTriggers} triggers: archive one first.`);
      return { trigger, secret };
    },

    /** Newest first; active ones, or with `archived` the others. */
    async list(principal: Principal, input: ListTriggersInput): Promise<Page<Trigger>> {
      const beforeId = startOf(input.cursor, "triggers", /^trg_[0-9a-z]{58}$/) ?? null;
      const { archived, limit } = input;
      const found = await ports.listTriggers(principal.projectId, { archived, beforeId, limit: limit + 1 });
      return pageOf(found, limit, ({ id }) => cursorOf("triggers", id));
    },

    /** Archived ones too. */
    async get(principal: Principal, { id }: { id: string }): Promise<Trigger> {
      const trigger = await ports.findTrigger(principal.projectId, id);
      if (!trigger) throw missing();
      return trigger;
    },

    /** Holds at once in this isolate, elsewhere within `limits.maxCacheAgeMs`. `conflict` when it was changed meanwhile. */
    async update(principal: Principal, input: UpdateTriggerInput): Promise<Trigger> {
      const { projectId } = principal;
      const trigger = await findActive(principal, input.id);
      const given = Object.entries(input).filter(([, value]) => value !== undefined);
      const changed: Trigger = { ...trigger, ...Object.fromEntries(given) };
      const { template, version, variables, metadata, filter, eventId } = input;
      // One that only gets another name is not held up by a template that has changed since.
      const mapped = [template, version, variables, metadata, filter, eventId].some((field) => field !== undefined);
      if (mapped) await checkMapping(ports, projectId, changed);
      await ports.checkCallback(principal, input.callback ?? undefined);
      const updated = await ports.updateTrigger(projectId, changed, ports.now());
      ports.forgetTrigger(input.id);
      if (!updated)
        throw new AppError("conflict", "This trigger was changed at the same time: look at it and try again.");
      return updated;
    },

    /** A new secret, shown this once; the one before is taken too for `overlapSeconds`, and any before that no more. */
    async rotateSecret(principal: Principal, input: RotateTriggerSecretInput): Promise<TriggerWithSecret> {
      const { projectId } = principal;
      const { id, overlapSeconds } = input;
      const { scheme } = await findActive(principal, id);
      const secret = chosenSecret(scheme, input.secret);
      const sealed = await ports.box.seal(secret, secretPlace(projectId, id));
      const nowMs = ports.now();
      const times = { previousEndsAtMs: nowMs + overlapSeconds * 1_000, nowMs };
      const trigger = await ports.rotateTriggerSecret({ projectId, id }, { sealed, hint: hintOf(secret), ...times });
      ports.forgetTrigger(id);
      if (!trigger) throw missing();
      return { trigger, secret };
    },

    /** For good: its address is closed, its secrets are dropped; its events stay. Again is a no-op. */
    async archive(principal: Principal, { id }: { id: string }): Promise<Trigger> {
      const archived = await ports.archiveTrigger(principal.projectId, id, ports.now());
      if (!archived) throw missing();
      ports.forgetTrigger(id);
      return archived;
    },
  };
}

export type TriggerUseCases = ReturnType<typeof triggerUseCases>;

export const pathOf = (id: string) => `/hooks/${id}`;

type Mapping = Pick<Trigger, "scheme" | "template" | "version" | "variables" | "metadata" | "filter" | "eventId">;

/** Parses every expression, and holds the mapping against the template's variables as they are now. */
export async function checkMapping(
  ports: Pick<PreparePorts, "resolveTemplate">,
  projectId: string,
  { scheme, template, version, eventId, ...expressions }: Mapping,
): Promise<void> {
  const resolved = await ports.resolveTemplate(projectId, template, version ?? undefined);
  parseMapping(expressions);
  const { variables } = expressions;
  if (eventId && scheme !== "hmac" && scheme !== "bearer")
    throw new AppError("invalid_request", `eventId: the scheme ${scheme} has a place of its own for it`, {
      param: "eventId",
    });
  if (eventId && "expression" in eventId) parseExpression(eventId.expression, "eventId");
  const declared = propertiesOf(resolved.variables);
  const refuse = (name: string, reason: string) =>
    new AppError("invalid_request", `variables.${name}: ${reason}`, { param: `variables.${name}` });
  for (const name of Object.keys(variables))
    if (!Object.hasOwn(declared, name)) throw refuse(name, "the template has no such variable");
  for (const name of requiredOf(resolved.variables)) {
    const property = declared[name];
    const hasDefault = typeof property === "object" && property !== null && "default" in property;
    if (!Object.hasOwn(variables, name) && !hasDefault) throw refuse(name, "the template needs this variable");
  }
}

function chosenSecret(scheme: TriggerScheme, given: string | undefined): string {
  if (given === undefined) return schemes[scheme].newSecret();
  if (schemes[scheme].isSecret(given)) return given;
  const shape =
    schemes[scheme] === schemes.standard ? "`whsec_` and base64 of at least 16 bytes" : "at least 8 characters";
  throw new AppError("invalid_request", `secret: of the scheme ${scheme} it is ${shape}`, { param: "secret" });
}

/** The end of a secret that is long enough to spare it. */
function hintOf(secret: string): string {
  return secret.length < 16 ? "…" : `…${secret.slice(-4)}`;
}

function missing(): AppError {
  return new AppError("not_found", "There is no such trigger.", { param: "id" });
}
