import { and, eq, lte, sql } from "drizzle-orm";
import type { Claim, IdempotencyPorts } from "../core/idempotency.ts";
import type { Database } from "./db.ts";
import { idempotency } from "./usageSchema.ts";

type Store = Pick<IdempotencyPorts, "claimKey" | "renewClaim" | "freeClaim" | "finishClaim">;

/**
 * Idempotency keys on D1. An expired row is overwritten by the next request under its key; rows whose key is never
 * used again stay.
 */
export function idempotencyStore(db: Database): Store {
  return {
    async claimKey({ projectId, key, claimId, requestDigest, nowMs, expiresAtMs }) {
      const row = {
        requestDigest,
        claimId,
        expiresAt: expiresAtMs,
        status: null,
        runId: null,
        model: null,
        body: null,
      };
      const [, [holder]] = await db.batch([
        db
          .insert(idempotency)
          .values({ projectId, key, ...row })
          .onConflictDoUpdate({
            target: [idempotency.projectId, idempotency.key],
            set: row,
            setWhere: lte(idempotency.expiresAt, nowMs),
          }),
        db.select().from(idempotency).where(ofKey({ projectId, key })),
      ]);
      if (!holder) throw new Error("a key that was just claimed has no holder");
      const { status, body, runId, model } = holder;
      return {
        claimId: holder.claimId,
        requestDigest: holder.requestDigest,
        finished: status === null ? null : { status, body, runId, model },
      };
    },

    async renewClaim(claim, expiresAtMs) {
      await db.update(idempotency).set({ expiresAt: expiresAtMs }).where(running(claim));
    },

    async freeClaim(claim) {
      await db.delete(idempotency).where(running(claim));
    },

    async finishClaim(claim, { status, body, runId, model }, expiresAtMs) {
      await db.update(idempotency).set({ status, body, runId, model, expiresAt: expiresAtMs }).where(running(claim));
    },
  };
}

/** The statement by which a deleted run's answer is kept no longer; `condition` holds where the run is deleted. */
export function forgetAnswer(db: Database, run: { projectId: string; id: string; condition: ReturnType<typeof sql> }) {
  return db
    .update(idempotency)
    .set({ body: null })
    .where(and(eq(idempotency.projectId, run.projectId), eq(idempotency.runId, run.id), run.condition));
}

const ofKey = ({ projectId, key }: Pick<Claim, "projectId" | "key">) =>
  and(eq(idempotency.projectId, projectId), eq(idempotency.key, key));

/** The claim while it holds its key and has not ended. */
const running = (claim: Claim) =>
  and(ofKey(claim), eq(idempotency.claimId, claim.claimId), sql`${idempotency.status} IS NULL`);
