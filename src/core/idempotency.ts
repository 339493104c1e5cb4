import { limits } from "../contract/limits.ts";
import { sha256Hex } from "./digest.ts";
import { AppError, errorEnvelope } from "./errors.ts";
import { canonicalJson } from "./json.ts";
import type { Principal } from "./principal.ts";

/** A finished answer as it went to the client; null is what it did not tell. */
export type KeptAnswer = { status: number; body: string; runId: string | null; model: string | null };

/** One whose body was too large to be kept, or belongs to a project that keeps no contents. */
export type BodilessAnswer = Omit<KeptAnswer, "body"> & { body: null };

/** One try of one request to hold a key of its project. */
export type Claim = { projectId: string; key: string; claimId: string };

export type NewClaim = Claim & { requestDigest: string; nowMs: number; expiresAtMs: number };

/** Who holds a key. */
export type Holder = {
  claimId: string;
  requestDigest: string;
  /** Null while the request is running. */
  finished: KeptAnswer | BodilessAnswer | null;
};

export type IdempotencyPorts = {
  /** Takes the key if it is free or its holder's time is over, in one atomic step; resolves with who holds it then. */
  claimKey: (claim: NewClaim) => Promise<Holder>;
  /** Prolongs the hold of this claim; nothing happens when another has the key by now. The same goes for the next two. */
  renewClaim: (claim: Claim, expiresAtMs: number) => Promise<void>;
  freeClaim: (claim: Claim) => Promise<void>;
  finishClaim: (claim: Claim, answer: KeptAnswer | BodilessAnswer, expiresAtMs: number) => Promise<void>;
  newClaimId: () => string;
  /** Keeps the invocation alive for work that outlives the response. */
  keepAlive: (work: Promise<unknown>) => void;
  log: (event: string, fields: Record<string, unknown>) => void;
  now: () => number;
};

/** The request under a key; its digest decides whether two are the same. */
export type KeyedRequest = { key: string; method: string; path: string; body: unknown };

const param = "Idempotency-Key";

/** The header's key: up to 255 printable ASCII characters; null without a header, `invalid_request` for another text. */
export function idempotencyKey(header: string | null): string | null {
  if (header === null) return null;
  if (/^[\x20-\x7e]+$/.test(header) && header.length <= limits.maxIdempotencyKeyChars) return header;
  throw new AppError(
    "invalid_request",
    `${param}: must be 1 to ${limits.maxIdempotencyKeyChars} printable ASCII characters`,
    { param },
  );
}

/**
 * The key as it is stored. Those of a publishable key, which everybody may read in a page, are kept apart from its
 * project's: by a prefix that no caller can send, as it ends in a line break.
 */
export function storedKey({ kind, keyId }: Pick<Principal, "kind" | "keyId">, key: string): string {
  return kind === "publishable" ? `${keyId}\n${key}` : key;
}

/** Running a request once, however often it is sent under one key of its project. */
export function idempotencyUseCases(ports: IdempotencyPorts) {
  /** While the work lasts, the key stays ours; should this Worker die, it is free `limits.claimMs` later at most. */
  async function holding<Result>(claim: Claim, work: () => Promise<Result>): Promise<Result> {
    const renew = () =>
      ports.renewClaim(claim, ports.now() + limits.claimMs).catch((cause: unknown) => {
        ports.log("claim_not_renewed", { cause });
      });
    const timer = setInterval(() => ports.keepAlive(renew()), limits.claimRenewMs);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }

  /** Writes the end of a claim down; tried again, as all of these writes may be repeated, and never rejects. */
  async function written(write: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await write();
      } catch (cause) {
        if (attempt >= limits.finaliseAttempts) return ports.log("claim_not_ended", { cause });
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 100 * 2 ** attempt));
      }
    }
  }

  async function end(claim: Claim, answer: KeptAnswer | null, keepContents: boolean): Promise<void> {
    const expiresAtMs = ports.now() + limits.replayMs;
    const isKept = answer && keepContents && new TextEncoder().encode(answer.body).length <= limits.maxReplayBytes;
    const ending = written(() => {
      if (!answer) return ports.freeClaim(claim);
      return ports.finishClaim(claim, isKept ? answer : { ...answer, body: null }, expiresAtMs);
    });
    ports.keepAlive(ending);
    // Before the answer goes out: whoever has it may count on the replay.
    await ending;
  }

  return {
    /**
     * Runs `work`, or replays what it answered under the same key up to `limits.replayMs` ago: a success, or a 4xx that
     * the upstream gave for good. What else fails frees the key. `conflict` while the first one is running, with
     * Retry-After, and when the key was used with another request; `unavailable` when the store cannot be asked.
     */
    async once<Answer extends KeptAnswer>(
      principal: Principal,
      request: KeyedRequest,
      work: () => Promise<Answer>,
    ): Promise<{ replayed: false; answer: Answer } | { replayed: true; answer: KeptAnswer }> {
      const { projectId, keepContents } = principal;
      const claim: Claim = { projectId, key: storedKey(principal, request.key), claimId: ports.newClaimId() };
      const nowMs = ports.now();
      const requestDigest = await sha256Hex(canonicalJson([request.method, request.path, request.body]));
      const holder = await ports
        .claimKey({ ...claim, requestDigest, nowMs, expiresAtMs: nowMs + limits.claimMs })
        .catch((cause: unknown) => {
          throw new AppError("unavailable", `The ${param} cannot be checked at the moment.`, {
            cause,
            retryAfterSeconds: limits.unavailableRetryAfterSeconds,
          });
        });
      if (holder.claimId !== claim.claimId) return { replayed: true, answer: replay(holder, requestDigest) };
      try {
        const answer = await holding(claim, work);
        await end(claim, answer, keepContents);
        return { replayed: false, answer };
      } catch (thrown) {
        await end(claim, lastingRefusal(thrown), keepContents);
        throw thrown;
      }
    },
  };
}

export type IdempotencyUseCases = ReturnType<typeof idempotencyUseCases>;

function replay({ requestDigest, finished }: Holder, asked: string): KeptAnswer {
  if (requestDigest !== asked)
    throw new AppError("conflict", `${param}: this key was used with another request`, { param });
  if (!finished)
    throw new AppError("conflict", `${param}: a request with this key is still running`, {
      param,
      retryAfterSeconds: limits.claimRetryAfterSeconds,
    });
  const { body, runId } = finished;
  if (body === null)
    throw new AppError("conflict", `${param}: the request with this key has run, but its answer was not kept`, {
      param,
      ...(runId !== null && { details: { runId } }),
    });
  return { ...finished, body };
}

/** The answer of a failure that would come again: the upstream refused the request itself, and not for a while. */
function lastingRefusal(thrown: unknown): KeptAnswer | null {
  if (!(thrown instanceof AppError)) return null;
  if (thrown.code !== "invalid_request" && thrown.code !== "not_found") return null;
  const { upstreamStatus, runId } = thrown.details ?? {};
  if (typeof upstreamStatus !== "number") return null;
  return {
    status: thrown.status,
    body: JSON.stringify(errorEnvelope(thrown)),
    runId: typeof runId === "string" ? runId : null,
    model: null,
  };
}
