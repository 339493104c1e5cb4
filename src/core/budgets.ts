import { limits } from "../contract/limits.ts";
import type { Cost } from "../contract/runs.ts";
import type { TimedCache } from "./cache.ts";
import { AppError } from "./errors.ts";
import type { DailyBudget, Principal } from "./principal.ts";
import type { RunOutcome, RunStart, SettleRun } from "./runRecord.ts";
import { dayOf } from "./runs.ts";

/** What was used of one quota on one UTC day; costs by currency. */
export type DayUsage = { tokens: number; costMicros: ReadonlyMap<string, number> };

type Quota = { projectId: string; quotaId: string };

/** The usage of a quota; nothing used where nothing is on record. */
export type FindDayUsage = (quota: Quota, day: string) => Promise<DayUsage>;

export type BudgetPorts = {
  findDayUsage: FindDayUsage;
  /** Lives as long as the isolate; its keys are project, quota and day. */
  cache: TimedCache<DayUsage>;
  now: () => number;
};

/** The project's own quota, beside those of its keys. */
const projectQuotaId = "";

/** The quotas that a caller's runs count against; none, and then nothing is read or written, without a budget. */
export function quotaIdsOf({ limits: { quotaId, key, project } }: Principal): string[] {
  return [...(key ? [quotaId] : []), ...(project ? [projectQuotaId] : [])];
}

export type KeyTokens = { allowed: number; used: number };

/**
 * Refuses a caller whose key or project has spent a budget of the day: `rate_limited` for tokens, with the seconds to
 * the day's end, `budget_exceeded` for cost. Counts what is on record and at most `limits.maxCacheAgeMs` old, so runs
 * under way at the same time may overdraw a budget together. Resolves with the tokens of a key that has a budget of
 * them; `unavailable` when the store cannot be asked.
 */
export async function checkBudgets(ports: BudgetPorts, principal: Principal): Promise<KeyTokens | null> {
  const ids = quotaIdsOf(principal);
  if (ids.length === 0) return null;
  const nowMs = ports.now();
  const day = dayOf(nowMs);
  const usages = await Promise.all(
    ids.map((quotaId) => dayUsage(ports, { projectId: principal.projectId, quotaId }, day)),
  );
  const { key, project, quotaId } = principal.limits;
  const usageOf = (id: string) => usages[ids.indexOf(id)] ?? unused;
  // A publishable key is in everybody's browser: what its project spends is not for all to see.
  const isTold = principal.kind === "secret";
  if (key) check({ owner: "key", budget: key, usage: usageOf(quotaId), isTold: true }, nowMs);
  if (project) check({ owner: "project", budget: project, usage: usageOf(projectQuotaId), isTold }, nowMs);
  return key && key.tokens !== null ? { allowed: key.tokens, used: usageOf(quotaId).tokens } : null;
}

const unused: DayUsage = { tokens: 0, costMicros: new Map() };

function dayUsage(ports: BudgetPorts, quota: Quota, day: string): Promise<DayUsage> {
  return ports.cache.recall(cacheKey(quota, day), () =>
    ports.findDayUsage(quota, day).catch((cause: unknown) => {
      throw new AppError("unavailable", "Budgets cannot be checked at the moment.", {
        cause,
        retryAfterSeconds: limits.unavailableRetryAfterSeconds,
      });
    }),
  );
}

type Checked = { owner: "key" | "project"; budget: DailyBudget; usage: DayUsage; isTold: boolean };

function check({ owner, budget: { tokens, cost }, usage, isTold }: Checked, nowMs: number): void {
  const resetsAt = new Date(dayEndMs(nowMs)).toISOString();
  const details = (budget: string, figures: Record<string, unknown>) => ({
    details: { budget: `${owner}.${budget}`, resetsAt, ...(isTold && figures) },
  });
  if (cost) {
    const used: Cost = { micros: usage.costMicros.get(cost.currency) ?? 0, currency: cost.currency };
    if (used.micros >= cost.micros)
      throw new AppError(
        "budget_exceeded",
        `The ${owner}'s budget of the day is spent; it is renewed at ${resetsAt}.`,
        {
          ...details("costPerDay", { limit: cost, used }),
        },
      );
  }
  if (tokens !== null && usage.tokens >= tokens)
    throw new AppError(
      "rate_limited",
      `The ${owner}'s tokens of the day are used up; they are renewed at ${resetsAt}.`,
      {
        ...details("tokensPerDay", { limit: tokens, used: usage.tokens }),
        retryAfterSeconds: secondsToDayEnd(nowMs),
        ...(owner === "key" && { headers: tokenHeaders({ allowed: tokens, used: usage.tokens }, nowMs) }),
      },
    );
}

/** Settling, after which a run counts at once in this isolate's memory too. */
export function countingSettle(settleRun: SettleRun, cache: TimedCache<DayUsage>): SettleRun {
  return async (start, outcome, contents) => {
    const settled = await settleRun(start, outcome, contents);
    if (settled) for (const id of start.quotaIds ?? []) count(cache, id, { start, outcome });
    return settled;
  };
}

/** Adds to what is remembered without prolonging its life, and remembers nothing new: only the store knows the sum. */
function count(cache: TimedCache<DayUsage>, quotaId: string, run: { start: RunStart; outcome: RunOutcome }): void {
  const { start, outcome } = run;
  const usage = cache.get(cacheKey({ projectId: start.projectId, quotaId }, dayOf(start.createdAtMs)));
  if (!usage) return;
  usage.tokens += (outcome.usage?.promptTokens ?? 0) + (outcome.usage?.completionTokens ?? 0);
  if (!outcome.cost) return;
  const { micros, currency } = outcome.cost;
  const sums = new Map(usage.costMicros);
  usage.costMicros = sums.set(currency, (sums.get(currency) ?? 0) + micros);
}

/** A key's tokens of the day under OpenAI's header names; what is left is as of `limits.maxCacheAgeMs` ago at most. */
export function tokenHeaders({ allowed, used }: KeyTokens, nowMs: number): Record<string, string> {
  return {
    "x-ratelimit-limit-tokens": String(allowed),
    "x-ratelimit-remaining-tokens": String(Math.max(0, allowed - used)),
    "x-ratelimit-reset-tokens": duration(secondsToDayEnd(nowMs)),
  };
}

/** As OpenAI writes it: `5h12m3s`, `12m0s`, `3s`. */
function duration(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const inHours = hours > 0 ? `${hours}h` : "";
  return `${inHours}${hours + minutes > 0 ? `${minutes}m` : ""}${seconds % 60}s`;
}

const dayMs = 24 * 3_600_000;
const dayEndMs = (nowMs: number) => (Math.floor(nowMs / dayMs) + 1) * dayMs;
const secondsToDayEnd = (nowMs: number) => Math.ceil((dayEndMs(nowMs) - nowMs) / 1000);
const cacheKey = ({ projectId, quotaId }: Quota, day: string) => `${projectId} ${quotaId} ${day}`;
