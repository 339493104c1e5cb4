import type { KeyKind, RequestsPerMinute } from "../contract/keys.ts";
import type { Cost } from "../contract/runs.ts";
import type { Scope } from "../contract/scopes.ts";

/** Who is calling: the key that was shown and the project it belongs to. */
export type Principal = {
  projectId: string;
  keyId: string;
  kind: KeyKind;
  scopes: readonly Scope[];
  /** Origins a publishable key may be used from. */
  origins: readonly string[];
  /** Whether the project keeps requests and answers. */
  keepContents: boolean;
  limits: KeyLimits;
};

/** What may be used in one UTC day; null: without bound. */
export type DailyBudget = { tokens: number | null; cost: Cost | null };

/** What bounds a key's use; null: nothing. */
export type KeyLimits = {
  /** The key whose use counts: itself, or the first of those it was rotated from. */
  quotaId: string;
  requestsPerMinute: RequestsPerMinute | null;
  key: DailyBudget | null;
  /** Shared by all keys of the project. */
  project: DailyBudget | null;
  /** Jobs of the project that may call upstreams at a time; null: `limits.concurrentJobs`. */
  projectMaxJobs: number | null;
};
