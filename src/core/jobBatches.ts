import type {
  BatchIdInput,
  BatchResult,
  BatchResultsInput,
  BatchStatus,
  BatchTicket,
  SubmitBatchInput,
} from "../contract/jobBatches.ts";
import { limits } from "../contract/limits.ts";
import type { Page } from "../contract/paging.ts";
import type { Admit } from "./admission.ts";
import type { CheckCallback } from "./callbacks.ts";
import { sha256Hex } from "./digest.ts";
import { AppError } from "./errors.ts";
import { idTimeMs, newId } from "./ids.ts";
import { renderedJobs } from "./jobBatchItems.ts";
import type { BatchHolder, BatchObjects, BatchStore } from "./jobBatchPorts.ts";
import { termsOf } from "./jobSpec.ts";
import { readerOf } from "./jobs.ts";
import { canonicalJson } from "./json.ts";
import type { PreparePorts } from "./prepare.ts";
import type { Principal } from "./principal.ts";

export type BatchPorts = PreparePorts &
  Pick<BatchStore, "submitBatch" | "countBatch" | "listBatchResults"> & {
    batchObjects: BatchObjects;
    admit: Admit;
    checkCallback: CheckCallback;
    log: (event: string, fields: Record<string, unknown>) => void;
    /** Milliseconds since the epoch. */
    now: () => number;
  };

/** Many jobs submitted, counted, read and cancelled together; each is a job like any other. A foreign batch is `not_found`. */
export function batchUseCases(ports: BatchPorts) {
  const { batchObjects: objects } = ports;

  async function counted(principal: Principal, batchId: string): Promise<BatchStatus> {
    const status = await ports.countBatch(readerOf(principal), batchId);
    if (!status) throw new AppError("not_found", `There is no batch ${batchId}.`, { param: "batchId" });
    return status;
  }

  return {
    /**
     * Accepts a batch whole or, when one of its items is at fault, not at all: the error names `items.N`. It counts as one
     * request, and is measured against budgets once; its jobs pass the project's gate like all others. The same batch
     * under the same idempotency key is the same batch, another request a `conflict`.
     */
    async submitBatch(principal: Principal, input: SubmitBatchInput): Promise<BatchTicket> {
      if (principal.kind === "publishable")
        throw new AppError("forbidden", "A publishable key submits its jobs one by one.");
      await ports.admit(principal);
      await ports.checkCallback(principal, input.callback);
      const batch = { batchId: newId("bat", ports.now()), projectId: principal.projectId };
      // The runs are found by the time in the batch's id.
      const nowMs = idTimeMs(batch.batchId) ?? 0;
      const { idempotencyKey: key, ...asked } = input;
      const terms = termsOf(input, nowMs);
      const jobs = await renderedJobs(ports, principal, { input, terms, batchId: batch.batchId, nowMs });
      const requestDigest = await sha256Hex(canonicalJson(["jobs.submitBatch", asked]));
      const idempotency = key === undefined ? null : { key, requestDigest };
      // Before the batch is written: from then on it is started even if this Worker ends.
      await objects.arm(batch).catch((cause: unknown) => {
        throw new AppError("unavailable", "The batch cannot be taken at the moment.", {
          cause,
          retryAfterSeconds: limits.unavailableRetryAfterSeconds,
        });
      });
      const held = await ports.submitBatch({ ...batch, runAtMs: terms.runAtMs, jobs, idempotency });
      if (held) return ticketOfHolder(held, requestDigest);
      await objects.start(batch).catch((cause: unknown) => ports.log("batch_not_started", { ...batch, cause }));
      const runIds = jobs.map(({ start }) => start.id);
      return ticketOf({ batchId: batch.batchId, createdAtMs: nowMs, runAtMs: terms.runAtMs, runIds });
    },

    /** How many of the batch's jobs are in which state. */
    batch(principal: Principal, { batchId }: BatchIdInput): Promise<BatchStatus> {
      return counted(principal, batchId);
    },

    /** What has become of each item, in their order; also of those that have not ended. */
    async batchResults(principal: Principal, input: BatchResultsInput): Promise<Page<BatchResult>> {
      const page = await ports.listBatchResults(readerOf(principal), input);
      // An empty page is the end of a batch, or there is none.
      if (page.items.length === 0) await counted(principal, input.batchId);
      return page;
    },

    /** Cancels the batch's jobs that have not ended; what has arrived is kept. Resolves with the counts as they are then. */
    async cancelBatch(principal: Principal, { batchId }: BatchIdInput): Promise<BatchStatus> {
      const status = await counted(principal, batchId);
      if (status.queued + status.running > 0) await objects.cancel({ projectId: principal.projectId, batchId });
      return status;
    },
  };
}
export type BatchUseCases = ReturnType<typeof batchUseCases>;

function ticketOfHolder(held: BatchHolder, requestDigest: string): BatchTicket {
  const { batchId, runIds } = held;
  if (batchId !== null && held.requestDigest === requestDigest) return ticketOf({ ...held, batchId });
  throw new AppError("conflict", "idempotencyKey: this key was used with another request", {
    param: "idempotencyKey",
    details: batchId === null ? { runId: runIds[0] } : { batchId },
  });
}

type Accepted = { batchId: string; createdAtMs: number; runAtMs: number; runIds: string[] };

function ticketOf({ batchId, createdAtMs, runAtMs, runIds }: Accepted): BatchTicket {
  const createdAt = new Date(createdAtMs).toISOString();
  return { batchId, createdAt, runAt: new Date(runAtMs).toISOString(), runIds, total: runIds.length };
}
