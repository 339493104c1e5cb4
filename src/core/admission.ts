import type { CreateCompletionInput } from "../contract/completions.ts";
import type { RequestsPerMinute } from "../contract/keys.ts";
import { limits } from "../contract/limits.ts";
import { type BudgetPorts, checkBudgets, tokenHeaders } from "./budgets.ts";
import type { CompletionRequest } from "./completionRequest.ts";
import type { CompletionUseCases } from "./completions.ts";
import { AppError } from "./errors.ts";
import type { Principal } from "./principal.ts";

/** What the answer tells about the caller's limits, under OpenAI's names; nothing for a caller without any. */
export type AdmissionHeaders = Readonly<Record<string, string>>;

/**
 * Lets a completion pass or refuses it: `rate_limited` with Retry-After when the caller's rate or tokens of the day are
 * used up, `budget_exceeded` when its cost of the day is. A caller without limits costs nothing.
 */
export type Admit = (principal: Principal) => Promise<AdmissionHeaders>;

/** Counts one request of `key` and says whether it is within the rate. */
export type AskRate = (rate: RequestsPerMinute, key: string) => Promise<boolean>;

export type AdmissionPorts = BudgetPorts & {
  askRate: AskRate;
  log: (event: string, fields: Record<string, unknown>) => void;
};

export function admission(ports: AdmissionPorts): Admit {
  /** A counter that fails is no reason to refuse anybody. */
  function withinRate(rate: RequestsPerMinute, quotaId: string): Promise<boolean> {
    return ports.askRate(rate, quotaId).catch((cause: unknown) => {
      ports.log("rate_not_counted", { quotaId, cause });
      return true;
    });
  }

  return async (principal) => {
    const { quotaId, requestsPerMinute: rate } = principal.limits;
    const headers: AdmissionHeaders = rate === null ? {} : { "x-ratelimit-limit-requests": String(rate) };
    if (rate !== null && !(await withinRate(rate, quotaId)))
      throw new AppError("rate_limited", `This key may make ${rate} requests a minute.`, {
        details: { limit: { requestsPerMinute: rate } },
        retryAfterSeconds: limits.rateRetryAfterSeconds,
        headers,
      });
    const tokens = await checkBudgets(ports, principal);
    return tokens ? { ...headers, ...tokenHeaders(tokens, ports.now()) } : headers;
  };
}

/** The completions of both doors, behind admission. */
export function admitted(completions: CompletionUseCases, admit: Admit) {
  return {
    async create(principal: Principal, input: CreateCompletionInput) {
      await admit(principal);
      return completions.create(principal, input);
    },

    async relay(principal: Principal, request: CompletionRequest, clientGone: AbortSignal) {
      const headers = await admit(principal);
      return { ...(await completions.relay(principal, request, clientGone)), headers };
    },
  };
}

export type AdmittedCompletions = ReturnType<typeof admitted>;
