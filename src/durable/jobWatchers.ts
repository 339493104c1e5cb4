import type { WatchOptions } from "../core/jobPorts.ts";
import type { JobLog } from "./jobLog.ts";

/**
 * Those who watch a job. Each reads the log at its own pace and has one write under way at most, so that a slow one
 * neither holds the job up nor makes memory grow; what has been written meanwhile comes to it in one piece.
 */
export class JobWatchers {
  readonly #log: JobLog;
  readonly #storage: DurableObjectStorage;
  /** Events up to this one are on disk; no watcher sees a later one. */
  #storedSeq: number;
  #news = Promise.withResolvers<void>();

  constructor(log: JobLog, storage: DurableObjectStorage) {
    this.#log = log;
    this.#storage = storage;
    this.#storedSeq = log.state?.lastSeq ?? 0;
  }

  /** Tells what has been logged, once it cannot be lost any more. */
  async tell(): Promise<void> {
    const seq = this.#log.state?.lastSeq ?? 0;
    await this.#storage.sync();
    if (seq <= this.#storedSeq) return;
    this.#storedSeq = seq;
    const { resolve } = this.#news;
    this.#news = Promise.withResolvers();
    resolve();
  }

  /** The lines after an event; see `JobObjects.watch`. A reader that leaves ends its own stream only. */
  watch({ afterSeq, follow }: WatchOptions): ReadableStream<Uint8Array> {
    const { readable, writable } = new IdentityTransformStream();
    this.#serve(writable.getWriter(), afterSeq, follow).catch(() => {
      // The reader has left.
    });
    return readable;
  }

  async #serve(writer: WritableStreamDefaultWriter<Uint8Array>, afterSeq: number, follow: boolean): Promise<void> {
    let seq = afterSeq;
    const through = follow ? Number.POSITIVE_INFINITY : this.#storedSeq;
    for (;;) {
      const news = this.#news.promise;
      const lines = this.#log.linesAfter(seq, Math.min(through, this.#storedSeq));
      if (lines) {
        await writer.write(lines.bytes);
        seq = lines.seq;
      } else if (!follow || this.#hasAll(seq)) {
        return writer.close();
      } else {
        await Promise.race([news, writer.closed]);
      }
    }
  }

  #hasAll(seq: number): boolean {
    const { state } = this.#log;
    return !state || (state.end !== null && seq >= state.lastSeq);
  }
}
