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
import { readerOf } from "./jobAccess.ts";
import { renderedJobs } from "./jobBatchItems.ts";
import type { BatchHolder, BatchObjects, BatchStore, NewBatchJob } from "./jobBatchPorts.ts";
import { type JobTerms, termsOf } from "./jobSpec.ts";
import { canonicalJson } from "./json.ts";
import type { PreparePorts } from "./prepare.ts";
import type { Principal } from "./principal.ts";

export type BatchPorts = PreparePorts &
  Pick<BatchStore, "submitBatch" | "findBatchHolder" | "countBatch" | "listBatchResults"> & {
    batchObjects: BatchObjects;
    admit: Admit;
    checkCallback: CheckCallback;
    log: (event: string, fields: Record<string, unknown>) => void;
    /** Milliseconds since the epoch. */
    now: () => number;
  };

type MadeBatch = { batchId: string; nowMs: number; terms: JobTerms; jobs: NewBatchJob[] };

/** Many jobs submitted, counted, read and cancelled together; each is a job like any other. A foreign batch is `not_found`. */
export function batchUseCases(ports: BatchPorts) {
  const { batchObjects: objects } = ports;

  async function counted(principal: Principal, batchId: string): Promise<BatchStatus> {
    const status = await ports.countBatch(readerOf(principal), batchId);
    if (!status) throw new AppError("not_found", `There is no batch ${batchId}.`, { param: "batchId" });
    return status;
  }

  async function make(principal: Principal, input: SubmitBatchInput): Promise<MadeBatch> {
    await ports.admit(principal);
    await ports.checkCallback(principal, input.callback);
    const batchId = newId("bat", ports.now());
    // The runs are found by the time in the batch's id.
    const nowMs = idTimeMs(batchId) ?? 0;
    const terms = termsOf(input, nowMs);
    return { batchId, nowMs, terms, jobs: await renderedJobs(ports, principal, { input, terms, batchId, nowMs }) };
  }

  /** Null also where it cannot be looked up: the caller is told then why it was refused. */
  function holderOf(projectId: string, key: string): Promise<BatchHolder | null> {
    return ports.findBatchHolder(projectId, key).catch((cause: unknown) => {
      ports.log("key_not_looked_up", { projectId, cause });
      return null;
    });
  }

  return {
    /**
     * Accepts a batch whole or, when one of its items is at fault, not at all: the error names `items.N`. It counts as one
     * request, and is measured against budgets once; its jobs pass the project's gate like all others. The same batch
     * under the same idempotency key is the same batch, even if it would be refused by now; another request a `conflict`.
     */
    async submitBatch(principal: Principal, input: SubmitBatchInput): Promise<BatchTicket> {
      if (principal.kind === "publishable")
        throw new AppError("forbidden", "A publishable key submits its jobs one by one.");
      const { projectId } = principal;
      const { idempotencyKey: key, ...asked } = input;
      const requestDigest = await sha256Hex(canonicalJson(["jobs.submitBatch", asked]));
      const idempotency = key === undefined ? null : { key, requestDigest };
      let made: MadeBatch;
      try {
        made = await make(principal, input);
      } catch (refusal) {
        const held = idempotency && (await holderOf(projectId, idempotency.key));
        if (held?.requestDigest !== requestDigest) throw refusal;
        return ticketOfHolder(held, requestDigest);
      }
      const { batchId, terms, jobs, nowMs } = made;
      const batch = { batchId, projectId };
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
