import { limits } from "../contract/limits.ts";
import type { Upstream } from "../contract/upstreams.ts";
import type { TimedCache } from "./cache.ts";
import { AppError } from "./errors.ts";
import type { SecretBox, SecretPlace } from "./secretBox.ts";
import type { Route } from "./upstreams.ts";

/** A project's upstream as it is stored; null where there is nothing to seal. */
export type StoredUpstream = {
  projectId: string;
  upstream: Upstream;
  sealedKey: string | null;
  sealedHeaders: string | null;
};

/** What is sealed of an upstream, open. */
export type UpstreamSecrets = { apiKey: string | null; headers: Readonly<Record<string, string>> };

/** An upstream as a completion needs it. */
export type OwnUpstream = {
  name: string;
  baseUrl: string;
  /** Model as asked → model on the wire. */
  models: ReadonlyMap<string, string>;
  /** Jobs that may call it at a time; null: as many as the project's jobs. */
  maxJobs: number | null;
  /** Decrypts when first asked, then remembers; throws `unavailable` when that cannot be done. */
  secrets: () => Promise<UpstreamSecrets>;
};

/** A project's upstreams that are not archived, oldest first. */
export type OwnUpstreams = readonly OwnUpstream[];
export type FindOwnUpstreams = (projectId: string) => Promise<OwnUpstreams>;

export type OwnUpstreamPorts = {
  /** Those that are not archived, oldest first. */
  findActive: (projectId: string) => Promise<StoredUpstream[]>;
  box: SecretBox;
  /** Lives as long as the isolate; its keys are project ids. */
  cache: TimedCache<OwnUpstreams>;
};

/**
 * Finds a project's upstreams, asking the store only when the isolate's memory has aged; a project without any is
 * remembered too. The result throws `unavailable` when the store cannot be asked.
 */
export function findOwnUpstreams({ findActive, box, cache }: OwnUpstreamPorts): FindOwnUpstreams {
  async function find(projectId: string): Promise<OwnUpstreams> {
    const stored = await findActive(projectId).catch((cause: unknown) => {
      throw new AppError("unavailable", "Upstreams cannot be looked up at the moment.", {
        cause,
        retryAfterSeconds: limits.unavailableRetryAfterSeconds,
      });
    });
    return stored.map((one) => ownUpstream(one, box));
  }

  return (projectId) => cache.recall(projectId, () => find(projectId));
}

function ownUpstream(stored: StoredUpstream, box: SecretBox): OwnUpstream {
  const { name, baseUrl, models, maxJobs } = stored.upstream;
  // The value, not its promise: another request must not wait for this one's work.
  let opened: UpstreamSecrets | null = null;
  return {
    name,
    baseUrl,
    models: new Map(Object.entries(models)),
    maxJobs,
    async secrets() {
      opened ??= await openSecrets(stored, box);
      return opened;
    },
  };
}

/** The cache's measure: roughly what a project's upstreams hold, bytes. */
export function sizeOfUpstreams(upstreams: OwnUpstreams): number {
  let chars = 0;
  // Keys and headers may take as much as the input allows; they come later.
  for (const { models } of upstreams) {
    chars += 12_000;
    for (const [asked, sent] of models) chars += asked.length + sent.length + 50;
  }
  return 2 * chars;
}

/** Where an upstream's secrets are sealed for. */
export function secretPlaces(projectId: string, recordId: string): Record<keyof UpstreamSecrets, SecretPlace> {
  return {
    apiKey: { projectId, recordId, field: "apiKey" },
    headers: { projectId, recordId, field: "headers" },
  };
}

/** Throws `unavailable` where the key they were sealed under is not at hand. */
export async function openSecrets(stored: StoredUpstream, box: SecretBox): Promise<UpstreamSecrets> {
  const { sealedKey, sealedHeaders } = stored;
  const places = secretPlaces(stored.projectId, stored.upstream.id);
  return {
    apiKey: sealedKey === null ? null : await box.open(sealedKey, places.apiKey),
    headers: sealedHeaders === null ? {} : JSON.parse(await box.open(sealedHeaders, places.headers)),
  };
}

/**
 * Which of a project's upstreams serves a model, and the model's name there: `NAME/model` goes to the one of that
 * name, else a model goes to the oldest whose mapping has it; null for all others. An entry of the mapping renames it.
 */
export function ownerOf(upstreams: OwnUpstreams, model: string): { upstream: OwnUpstream; model: string } | null {
  const slash = model.indexOf("/");
  const named = slash > 0 && upstreams.find(({ name }) => name === model.slice(0, slash));
  if (named) {
    const rest = model.slice(slash + 1);
    return { upstream: named, model: named.models.get(rest) ?? rest };
  }
  for (const upstream of upstreams) {
    const mapped = upstream.models.get(model);
    if (mapped !== undefined) return { upstream, model: mapped };
  }
  return null;
}

type Address = Pick<Route, "baseUrl" | "apiKey" | "headers" | "secrets">;

/** What addresses the environment's upstream, where a project's own one would else be meant. */
const defaultPrefix = "default/";

/** The model's name at the environment's upstream when it is addressed by that, else null. */
export function atDefault(model: string): string | null {
  return model.startsWith(defaultPrefix) ? model.slice(defaultPrefix.length) : null;
}

/** Where calls go and what they carry, with the texts that errors must not quote. */
export function addressed(baseUrl: string, { apiKey, headers }: UpstreamSecrets): Address {
  const { host, hostname } = new URL(baseUrl);
  return {
    baseUrl: baseUrl.replace(/\/+$/, ""),
    apiKey,
    headers,
    secrets: [baseUrl, host, hostname, ...(apiKey ? [apiKey] : []), ...Object.values(headers)],
  };
}
