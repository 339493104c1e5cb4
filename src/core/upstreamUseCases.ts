import { limits } from "../contract/limits.ts";
import type { Page } from "../contract/paging.ts";
import type {
  CreateUpstreamInput,
  ListUpstreamsInput,
  TestUpstreamInput,
  UpdateUpstreamInput,
  Upstream,
  UpstreamTest,
} from "../contract/upstreams.ts";
import { cursorOf, pageOf, startOf } from "./cursor.ts";
import { AppError } from "./errors.ts";
import { newId } from "./ids.ts";
import { addressed, openSecrets, type StoredUpstream, secretPlaces } from "./ownUpstreams.ts";
import type { Principal } from "./principal.ts";
import type { SecretBox } from "./secretBox.ts";
import { checkedBaseUrl } from "./upstreamAddress.ts";
import { type TestPorts, testRoute } from "./upstreamTest.ts";

export type UpstreamPorts = TestPorts & {
  /** False when the project has an active upstream of that name. */
  insertUpstream: (stored: StoredUpstream) => Promise<boolean>;
  /** Newest first, those before `beforeId` in age order when given. */
  listUpstreams: (
    projectId: string,
    page: { archived: boolean; beforeId: string | null; limit: number },
  ) => Promise<Upstream[]>;
  /** Archived ones included. */
  findUpstream: (projectId: string, id: string) => Promise<StoredUpstream | null>;
  /** Those that are not archived, oldest first. */
  findActive: (projectId: string) => Promise<StoredUpstream[]>;
  /**
   * Writes what changes, if the upstream is active, still has the base URL `whileAt`, and no other active one has its
   * new name; else null and nothing.
   */
  updateUpstream: (owner: { projectId: string; id: string }, change: UpstreamChange) => Promise<Upstream | null>;
  /** Drops its secrets and frees its name; keeps the time of an earlier call. Null when the project has none such. */
  archiveUpstream: (projectId: string, id: string, nowMs: number) => Promise<Upstream | null>;
  /** Drops what this isolate remembers of a project's upstreams. */
  forgetUpstreams: (projectId: string) => void;
  box: SecretBox;
  /** Whether upstreams on this machine may be called. */
  allowLoopback: boolean;
};

/** What an update writes; what is absent stays. */
export type UpstreamChange = SealedFields & {
  whileAt: string;
  nowMs: number;
  name?: string;
  baseUrl?: string;
  models?: Record<string, string>;
  maxJobs?: number | null;
};

type SealedFields = {
  key?: { sealed: string; hint: string } | null;
  headers?: { sealed: string | null; names: string[] };
};

/** Upstreams of the caller's project. Foreign and missing ids are both `not_found`. */
export function upstreamUseCases(ports: UpstreamPorts) {
  /** Seals the secrets that were given. `unavailable` without an ENCRYPTION_KEY. */
  async function seal(
    { projectId, id }: { projectId: string; id: string },
    { apiKey, headers }: Pick<UpdateUpstreamInput, "apiKey" | "headers">,
  ): Promise<SealedFields> {
    const places = secretPlaces(projectId, id);
    const fields: SealedFields = {};
    if (apiKey === null) fields.key = null;
    else if (apiKey !== undefined)
      fields.key = { sealed: await ports.box.seal(apiKey, places.apiKey), hint: hintOf(apiKey) };
    if (headers !== undefined) {
      const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const);
      const text = JSON.stringify(Object.fromEntries(lower));
      const sealed = lower.length === 0 ? null : await ports.box.seal(text, places.headers);
      fields.headers = { sealed, names: lower.map(([name]) => name) };
    }
    return fields;
  }

  async function findActive(principal: Principal, id: string): Promise<StoredUpstream> {
    const stored = await ports.findUpstream(principal.projectId, id);
    if (!stored) throw missing();
    if (stored.upstream.archived)
      throw new AppError("conflict", "This upstream is archived: create a new one instead.");
    return stored;
  }

  return {
    /** `conflict` when the name is taken or the project has `limits.maxUpstreams`. */
    async create({ projectId }: Principal, input: CreateUpstreamInput): Promise<Upstream> {
      const baseUrl = checkedBaseUrl(input.baseUrl, ports.allowLoopback);
      if ((await ports.findActive(projectId)).length >= limits.maxUpstreams)
        throw new AppError("conflict", `A project has at most ${limits.maxUpstreams} upstreams: archive one first.`);
      const nowMs = ports.now();
      const id = newId("ups", nowMs);
      const { key, headers } = await seal({ projectId, id }, input);
      const now = new Date(nowMs).toISOString();
      const upstream: Upstream = {
        id,
        name: input.name,
        baseUrl,
        hasKey: Boolean(key),
        keyHint: key?.hint ?? null,
        headers: headers?.names ?? [],
        models: input.models,
        maxJobs: input.maxJobs,
        createdAt: now,
        updatedAt: now,
        archived: false,
      };
      const sealed = { sealedKey: key?.sealed ?? null, sealedHeaders: headers?.sealed ?? null };
      if (!(await ports.insertUpstream({ projectId, upstream, ...sealed }))) throw nameTaken(input.name);
      ports.forgetUpstreams(projectId);
      return upstream;
    },

    /** Newest first; active ones, or with `archived` the others. */
    async list(principal: Principal, input: ListUpstreamsInput): Promise<Page<Upstream>> {
      const beforeId = startOf(input.cursor, "upstreams", /^ups_[0-9a-z]{26}$/) ?? null;
      const { archived, limit } = input;
      const found = await ports.listUpstreams(principal.projectId, { archived, beforeId, limit: limit + 1 });
      return pageOf(found, limit, ({ id }) => cursorOf("upstreams", id));
    },

    /**
     * Holds at once in this isolate, elsewhere within `limits.maxCacheAgeMs`. A key and headers that are kept must be
     * given again with a new base URL: whoever may only change the address must not have them sent to their own.
     */
    async update(principal: Principal, input: UpdateUpstreamInput): Promise<Upstream> {
      const { projectId } = principal;
      const { upstream } = await findActive(principal, input.id);
      const baseUrl =
        input.baseUrl === undefined ? upstream.baseUrl : checkedBaseUrl(input.baseUrl, ports.allowLoopback);
      const moved = baseUrl !== upstream.baseUrl;
      if (moved && upstream.hasKey && input.apiKey === undefined) throw neededAgain("apiKey");
      if (moved && upstream.headers.length > 0 && input.headers === undefined) throw neededAgain("headers");
      const secrets = await seal({ projectId, id: input.id }, input);
      const updated = await ports.updateUpstream(
        { projectId, id: input.id },
        {
          whileAt: upstream.baseUrl,
          nowMs: ports.now(),
          // One that was given to the old address meanwhile must not go to the new one.
          ...(moved && { baseUrl, key: null, headers: { sealed: null, names: [] } }),
          ...secrets,
          ...(input.name !== undefined && { name: input.name }),
          ...(input.models !== undefined && { models: input.models }),
          ...(input.maxJobs !== undefined && { maxJobs: input.maxJobs }),
        },
      );
      ports.forgetUpstreams(projectId);
      if (!updated) throw await whyNot(projectId, input);
      return updated;
    },

    /** Asks the upstream for one token of `model`, which it bills; what comes of it is told, not thrown. */
    async test(principal: Principal, input: TestUpstreamInput): Promise<UpstreamTest> {
      const stored = await findActive(principal, input.id);
      const { name, baseUrl, models } = stored.upstream;
      const model = new Map(Object.entries(models)).get(input.model) ?? input.model;
      const address = addressed(baseUrl, await openSecrets(stored, ports.box));
      const known = { simulated: false, shared: false, reasoning: false, maxJobs: null };
      return testRoute(ports, { ...address, ...known, upstream: name, model });
    },

    /** For good: its secrets are dropped, its name is free. Again is a no-op. */
    async archive(principal: Principal, input: { id: string }): Promise<Upstream> {
      const archived = await ports.archiveUpstream(principal.projectId, input.id, ports.now());
      if (!archived) throw missing();
      ports.forgetUpstreams(principal.projectId);
      return archived;
    },
  };

  async function whyNot(projectId: string, { id, name }: UpdateUpstreamInput): Promise<AppError> {
    const others = (await ports.findActive(projectId)).filter(({ upstream }) => upstream.id !== id);
    if (name !== undefined && others.some(({ upstream }) => upstream.name === name)) return nameTaken(name);
    return new AppError("conflict", "This upstream was changed at the same time: look at it and try again.");
  }
}

export type UpstreamUseCases = ReturnType<typeof upstreamUseCases>;

/** The end of a key that is long enough to spare it. */
function hintOf(apiKey: string): string {
  return apiKey.length < 16 ? "…" : `…${apiKey.slice(-4)}`;
}

function neededAgain(param: "apiKey" | "headers"): AppError {
  return new AppError("invalid_request", `${param}: a new baseUrl needs it given again`, { param });
}

function nameTaken(name: string): AppError {
  return new AppError("conflict", `name: the project has an upstream named ${name}`, { param: "name" });
}

function missing(): AppError {
  return new AppError("not_found", "There is no such upstream.");
}
