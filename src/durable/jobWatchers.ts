import { limits } from "../contract/limits.ts";
import { type FrameForm, framesOf } from "../core/jobFrames.ts";
import type { WatchOptions } from "../core/jobPorts.ts";
import type { JobLog } from "./jobLog.ts";

type Written = { seq: number; bytes: Uint8Array };

const encoder = new TextEncoder();

/**
 * Those who watch a job. Each reads the log at its own pace and has one write under way at most, so that a slow one
 * neither holds the job up nor makes memory grow; what has been written meanwhile comes to it in one piece. What is new
 * is framed once for all.
 */
export class JobWatchers {
  readonly #log: JobLog;
  readonly #storage: DurableObjectStorage;
  /** Events up to this one are on disk; no watcher sees a later one. */
  #storedSeq: number;
  #news = Promise.withResolvers<void>();
  /** The newest event, framed. */
  readonly #newest: Partial<Record<FrameForm, Written>> = {};

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

  /** The events after one; see `JobObjects.watch`. A reader that leaves ends its own stream only. */
  watch(options: WatchOptions): ReadableStream<Uint8Array> {
    const { readable, writable } = new IdentityTransformStream();
    const writer = writable.getWriter();
    // The reader has left, or the log has been removed under it.
    this.#serve(writer, options).catch((cause: unknown) => writer.abort(cause).catch(() => {}));
    return readable;
  }

  async #serve(
    writer: WritableStreamDefaultWriter<Uint8Array>,
    { afterSeq, follow, form }: WatchOptions,
  ): Promise<void> {
    const { opened, ping, closed } = framesOf[form];
    const through = follow ? Number.POSITIVE_INFINITY : this.#storedSeq;
    if (opened) await writer.write(encoder.encode(opened));
    for (let seq = afterSeq; ; ) {
      const news = this.#news.promise;
      const written = this.#framed(form, seq, Math.min(through, this.#storedSeq));
      if (written) {
        await writer.write(written.bytes);
        seq = written.seq;
      } else if (!follow || this.#hasAll(seq)) {
        if (closed) await writer.write(encoder.encode(closed));
        return writer.close();
      } else if ((await silence([news, writer.closed])) && ping) await writer.write(encoder.encode(ping));
    }
  }

  #framed(form: FrameForm, seq: number, through: number): Written | null {
    const { event } = framesOf[form];
    const { last } = this.#log;
    if (last && last.seq === seq + 1 && through === last.seq) {
      const known = this.#newest[form];
      if (known?.seq === last.seq) return known;
      const written = { seq: last.seq, bytes: encoder.encode(event(last.json, last.seq)) };
      this.#newest[form] = written;
      return written;
    }
    const events = this.#log.eventsAfter(seq, through);
    const newest = events.at(-1);
    if (!newest) return null;
    return { seq: newest.seq, bytes: encoder.encode(events.map((one) => event(one.json, one.seq)).join("")) };
  }

  #hasAll(seq: number): boolean {
    const { state } = this.#log;
    return !state || (state.end !== null && seq >= state.lastSeq);
  }
}

/** True when nothing has come of the promises for `limits.pingMs`; rejects as the first of them does. */
async function silence(promises: Promise<unknown>[]): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(true), limits.pingMs);
  try {
    return (await Promise.race([promise, ...promises])) === true;
  } finally {
    clearTimeout(timer);
  }
}
