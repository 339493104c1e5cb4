import type * as z from "zod";
import type { CreatedKey, CreateKeyInput, Key, RotateKeyInput } from "../contract/keys.ts";
import { limits } from "../contract/limits.ts";
import type { Page, PageInput } from "../contract/paging.ts";
import type { Scope } from "../contract/scopes.ts";
import { cursorOf, pageOf, startOf } from "./cursor.ts";
import { AppError } from "./errors.ts";
import { newId } from "./ids.ts";
import { keyDigest, keyHint, newKeySecret } from "./keyFormat.ts";
import type { Principal } from "./principal.ts";

/** A key with the digest that stands for it in the store. */
export type OwnedKey = { key: Key; digest: string };

export type NewKey = OwnedKey & { projectId: string };

/** A key and how long its successor is to live, ms; null: for ever. */
export type RotatableKey = OwnedKey & { lifetimeMs: number | null };

export type KeyPorts = {
  insertKey: (key: NewKey) => Promise<void>;
  /** Newest first, those before `beforeId` in age order when given. */
  listKeys: (projectId: string, page: { beforeId: string | null; limit: number }) => Promise<Key[]>;
  findKey: (projectId: string, id: string) => Promise<RotatableKey | null>;
  /**
   * Inserts the successor and ends the key it names in `rotatedFrom` at `endsAtMs` or its own earlier expiry, both or
   * neither; false when that key is revoked or has expired by `nowMs`.
   */
  rotateKey: (successor: NewKey, times: { endsAtMs: number; nowMs: number }) => Promise<boolean>;
  /** Keeps the time of an earlier revocation; null when the project has no such key. */
  revokeKey: (projectId: string, id: string, nowMs: number) => Promise<OwnedKey | null>;
  /** Drops what this isolate remembers of a key. */
  forgetKey: (digest: string) => void;
  now: () => number;
};

type RotateInput = z.infer<typeof RotateKeyInput>;

/** What a publishable key may do; templates and origins narrow it further. */
const publishableScopes: readonly Scope[] = ["completions:run"];

/** Keys of the caller's project. Foreign and missing ids are both `not_found`. */
export function keyUseCases(ports: KeyPorts) {
  return {
    /** The key itself is in the answer and nowhere else. */
    async create(principal: Principal, input: CreateKeyInput): Promise<CreatedKey> {
      const now = ports.now();
      const expiresAtMs = input.expiresAt === undefined ? null : Date.parse(input.expiresAt);
      if (expiresAtMs !== null && expiresAtMs <= now)
        throw new AppError("invalid_request", "expiresAt: must lie in the future", { param: "expiresAt" });
      const scopes = input.kind === "publishable" ? publishableScopes : (input.scopes ?? []);
      requireScopes(principal, scopes);
      const created = await issueKey({
        kind: input.kind,
        name: input.name,
        scopes: [...new Set(scopes)],
        origins: [...new Set(input.origins)],
        createdAtMs: now,
        expiresAtMs,
        rotatedFrom: null,
        requestsPerMinute: input.requestsPerMinute ?? unaskedRate(input.kind),
        tokensPerDay: input.tokensPerDay ?? null,
        costPerDay: input.costPerDay ?? null,
      });
      await ports.insertKey({ ...created.owned, projectId: principal.projectId });
      return created.shown;
    },

    /** Newest first; revoked and expired keys stay listed. */
    async list(principal: Principal, input: PageInput): Promise<Page<Key>> {
      const beforeId = startOf(input.cursor, "keys", /^key_[0-9a-z]{26}$/) ?? null;
      const keys = await ports.listKeys(principal.projectId, { beforeId, limit: input.limit + 1 });
      return pageOf(keys, input.limit, (key) => cursorOf("keys", key.id));
    },

    /**
     * A new key with the same name, kind, scopes, origins, limits and lifetime; the old one works on for
     * `overlapSeconds`, unless it expires sooner. The two share their limits and what has been used of them. `conflict` when the old key works no more.
     */
    async rotate(principal: Principal, input: RotateInput): Promise<CreatedKey> {
      const old = await ports.findKey(principal.projectId, input.id);
      if (!old) throw missing();
      requireScopes(principal, old.key.scopes);
      const now = ports.now();
      const successor = await issueKey({
        ...old.key,
        createdAtMs: now,
        expiresAtMs: old.lifetimeMs === null ? null : now + old.lifetimeMs,
        rotatedFrom: old.key.id,
      });
      const rotated = await ports.rotateKey(
        { ...successor.owned, projectId: principal.projectId },
        { endsAtMs: now + input.overlapSeconds * 1_000, nowMs: now },
      );
      if (!rotated) throw new AppError("conflict", "This key is revoked or has expired: create a new one instead.");
      ports.forgetKey(old.digest);
      return successor.shown;
    },

    /** Holds at once in this isolate, elsewhere when its memory of the key has aged. Again is a no-op. */
    async revoke(principal: Principal, input: { id: string }): Promise<Key> {
      const revoked = await ports.revokeKey(principal.projectId, input.id, ports.now());
      if (!revoked) throw missing();
      ports.forgetKey(revoked.digest);
      return revoked.key;
    },
  };
}

export type KeyUseCases = ReturnType<typeof keyUseCases>;

/** What a new key is to be; times in milliseconds since the epoch, `expiresAtMs` null for a key that never ends. */
export type WantedKey = Pick<
  Key,
  "kind" | "name" | "scopes" | "origins" | "rotatedFrom" | "requestsPerMinute" | "tokensPerDay" | "costPerDay"
> & {
  createdAtMs: number;
  expiresAtMs: number | null;
};

/** Makes a key and stores nothing: `owned` is for the store, `shown` holds the key itself for the caller's eyes. */
export async function issueKey(wanted: WantedKey): Promise<{ owned: OwnedKey; shown: CreatedKey }> {
  const secret = newKeySecret(wanted.kind);
  const key: Key = {
    id: newId("key", wanted.createdAtMs),
    kind: wanted.kind,
    name: wanted.name,
    hint: keyHint(secret),
    scopes: wanted.scopes,
    origins: wanted.origins,
    createdAt: new Date(wanted.createdAtMs).toISOString(),
    expiresAt: wanted.expiresAtMs === null ? null : new Date(wanted.expiresAtMs).toISOString(),
    revokedAt: null,
    rotatedFrom: wanted.rotatedFrom,
    requestsPerMinute: wanted.requestsPerMinute,
    tokensPerDay: wanted.tokensPerDay,
    costPerDay: wanted.costPerDay,
  };
  return { owned: { key, digest: await keyDigest(secret) }, shown: { key, secret } };
}

/** A key's rate when none was chosen. */
export function unaskedRate(kind: Key["kind"]): Key["requestsPerMinute"] {
  return kind === "publishable" ? limits.publishableRequestsPerMinute : null;
}

/** Else a key that may only manage keys could make itself one that may do everything. */
function requireScopes(principal: Principal, scopes: readonly Scope[]): void {
  const lacking = scopes.filter((scope) => !principal.scopes.includes(scope));
  if (lacking.length > 0)
    throw new AppError("forbidden", `This key cannot grant what it lacks itself: ${lacking.join(", ")}.`, {
      param: "scopes",
      details: { scopes: lacking },
    });
}

function missing(): AppError {
  return new AppError("not_found", "There is no such key.");
}
