import { limits } from "../contract/limits.ts";
import type { TimedCache } from "./cache.ts";
import { AppError } from "./errors.ts";
import { checkKeySecret, keyDigest } from "./keyFormat.ts";
import type { Principal } from "./principal.ts";

/** A stored key as authentication needs it; times in milliseconds since the epoch. */
export type KnownKey = {
  principal: Principal;
  /** SHA-256 of the key, hex. */
  digest: string;
  expiresAtMs: number | null;
  revokedAtMs: number | null;
};

/** Null when no key has that digest. */
export type FindKnownKey = (digest: string) => Promise<KnownKey | null>;

export type AuthPorts = {
  findKnownKey: FindKnownKey;
  /** Lives as long as the isolate; its keys are digests. */
  cache: TimedCache<KnownKey>;
  now: () => number;
};

/** Who is calling, from the key presented and the request's `Origin` header (null: there is none). */
export type Authenticate = (presented: string | null, origin: string | null) => Promise<Principal>;

/**
 * Binds authentication to its ports. The result throws `unauthenticated`, in one wording whatever the cause;
 * `forbidden` for a good key in a place where it must not be; `unavailable` when the store cannot be asked.
 * What is no key by its checksum costs no lookup; a key seen lately costs none either.
 */
export function authenticate(ports: AuthPorts): Authenticate {
  /** Null when there is none, or it is revoked. */
  async function find(digest: string): Promise<KnownKey | null> {
    const found = await ports.findKnownKey(digest).catch((cause: unknown) => {
      throw new AppError("unavailable", "Keys cannot be checked at the moment.", {
        cause,
        retryAfterSeconds: limits.unavailableRetryAfterSeconds,
      });
    });
    return found?.revokedAtMs === null ? found : null;
  }

  return async (presented, origin) => {
    if (presented === null || checkKeySecret(presented) === null) throw refusal();
    const digest = await keyDigest(presented);
    const known = await ports.cache.recall(digest, () => find(digest));
    if (!known || !equalDigests(known.digest, digest)) throw refusal();
    if (known.expiresAtMs !== null && known.expiresAtMs <= ports.now()) throw refusal();
    checkOrigin(known.principal, origin);
    return known.principal;
  };
}

function refusal(): AppError {
  return new AppError(
    "unauthenticated",
    "No valid key was given: send `Authorization: Bearer weir_…` with a key that is neither expired nor revoked.",
  );
}

/**
 * Only an `Origin` header tells a browser: `Sec-Fetch-Mode` is sent by server-side clients too. A publishable key
 * works from exactly its origins, and one without any from no browser at all.
 */
function checkOrigin(principal: Principal, origin: string | null): void {
  if (principal.kind === "secret") {
    if (origin === null) return;
    throw new AppError(
      "forbidden",
      "A secret key must not be used in a browser: create a publishable key (weir_pk_…) with this origin, and rotate the secret key if the page was public.",
    );
  }
  if (origin === null ? principal.origins.length === 0 : principal.origins.includes(origin)) return;
  throw new AppError(
    "forbidden",
    origin === null
      ? "This publishable key works only in a browser, from its own origins."
      : "This publishable key is not allowed from this origin.",
  );
}

/** Compares in a time that does not depend on where the two differ. */
function equalDigests(one: string, other: string): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let at = 0; at < one.length; at++) difference |= one.charCodeAt(at) ^ other.charCodeAt(at);
  return difference === 0;
}
