import type { Callback } from "../contract/endpoints.ts";
import type { BatchStatus } from "../contract/jobBatches.ts";
import { limits } from "../contract/limits.ts";
import type { FindListeners } from "../core/endpointPorts.ts";
import type { Batch, BatchStore } from "../core/jobBatchPorts.ts";
import { type AcceptNotices, tellEndpoints } from "../core/telling.ts";
import { batchNews } from "../core/webhookMessages.ts";

/** What is known of the end of a batch that endpoints are told of. */
type Ending = {
  batch: Batch;
  callback: Callback | undefined;
  /** Jobs that must have ended before it is worth while to count. */
  left: number;
  /** When it is counted all the same: a job may have ended while nobody listened, or was deleted. Absent before a count. */
  recountAtMs?: number;
  /** How it ended; what is told is made of this, so that it is the same each time. */
  end: { status: BatchStatus; atMs: number } | null;
  told: boolean;
};

export type BatchEndPorts = Pick<BatchStore, "countBatch"> & {
  findListeners: FindListeners;
  acceptNotices: AcceptNotices;
};

/**
 * Notices that all jobs of a batch have ended, and tells endpoints so, once. Each job tells when it has ended, some of
 * them twice; D1 is asked how many are left only when as many have told as were left before, or a long time has passed.
 * Kept in the batch's object; that it has been told is remembered as long as a message is.
 */
export class BatchEnd {
  readonly #kv: SyncKvStorage;
  readonly #ports: BatchEndPorts;

  constructor(kv: SyncKvStorage, ports: BatchEndPorts) {
    this.#kv = kv;
    this.#ports = ports;
  }

  /** A job of the batch has ended, and D1 shows it. True: `advance` is due. */
  jobEnded(batch: Batch, callback: Callback | undefined): boolean {
    const ending = this.#ending ?? { batch, callback, left: 1, end: null, told: false };
    if (ending.end) return !ending.told;
    this.#keep({ ...ending, left: ending.left - 1 });
    return ending.left <= 1;
  }

  /**
   * Does what is due. Resolves with how long the object is to be kept for it, as a time, or null when there is nothing to
   * wait for by the clock. Rejects for what is to be tried again.
   */
  async advance(nowMs: number): Promise<number | null> {
    const ending = this.#ending;
    if (!ending) return null;
    const countsNextAtMs = ending.end ? null : this.#countsNextAtMs(nowMs);
    if (countsNextAtMs !== null && countsNextAtMs > nowMs) return countsNextAtMs;
    const end = ending.end ?? (await this.#count(ending, nowMs));
    if (!end) return this.#countsNextAtMs(nowMs);
    if (!ending.told) {
      const { batch, callback } = ending;
      const listeners = await this.#ports.findListeners(batch.projectId);
      const news = batchNews(end.status, end.atMs);
      await tellEndpoints(this.#ports.acceptNotices, listeners, { projectId: batch.projectId, news, callback });
      this.#keep({ ...ending, end, told: true });
    }
    return end.atMs + limits.deliveryKeptMs;
  }

  /** Whether there is nothing to be kept. */
  isOver(nowMs: number): boolean {
    const ending = this.#ending;
    return !ending || (ending.told && ending.end !== null && ending.end.atMs + limits.deliveryKeptMs <= nowMs);
  }

  async #count({ batch, left }: Ending, nowMs: number): Promise<Ending["end"]> {
    const { projectId, batchId } = batch;
    const status = await this.#ports.countBatch({ projectId, keyId: null }, batchId);
    const now = this.#ending;
    if (!now) return null;
    if (!status) {
      // Its runs have been deleted.
      this.#kv.delete("ending");
      return null;
    }
    const live = status.queued + status.running;
    const end = live === 0 ? { status, atMs: nowMs } : null;
    // Jobs that ended meanwhile may be among the live ones or not: at worst it is counted once more.
    this.#keep({ ...now, left: live + now.left - left, recountAtMs: nowMs + limits.batchRecountMs, end });
    return end;
  }

  #countsNextAtMs(nowMs: number): number | null {
    const ending = this.#ending;
    if (!ending) return null;
    return ending.left > 0 ? (ending.recountAtMs ?? nowMs) : nowMs;
  }

  get #ending(): Ending | undefined {
    return this.#kv.get<Ending>("ending");
  }

  #keep(ending: Ending): void {
    this.#kv.put("ending", ending);
  }
}
