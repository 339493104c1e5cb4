import type { JobEvent } from "../contract/jobs.ts";
import { limits } from "../contract/limits.ts";
import { AppError } from "./errors.ts";
import type { WatchOptions } from "./jobPorts.ts";
import type { Principal } from "./principal.ts";
import { sleep } from "./retry.ts";

/** The job's lines from its object, or its events from the run log. */
export type WatchSource = ReadableStream<Uint8Array> | readonly JobEvent[];

export type WatchPorts = {
  /** Rejects with an AppError, or as the object's end broke it. */
  attach: (
    principal: Principal,
    runId: string,
    options: Pick<WatchOptions, "afterSeq" | "follow">,
  ) => Promise<WatchSource>;
  log: (event: string, fields: Record<string, unknown>) => void;
};

export type Watched = Pick<WatchOptions, "afterSeq" | "follow"> & {
  principal: Principal;
  runId: string;
  /** Where the job was attached to already; else that is done first. */
  source?: WatchSource | undefined;
  /** Ends the watch. */
  signal: AbortSignal;
};

/**
 * A job's events after `afterSeq`, in order, each once. An object that is restarted meanwhile is attached to again, which
 * the watcher does not notice; `unavailable` after `limits.watchReattachments` failures in a row, none of which came
 * after an event or after `limits.watchSteadyMs`.
 */
export async function* watchJob(ports: WatchPorts, watched: Watched): AsyncGenerator<JobEvent, void> {
  const { principal, runId, signal, follow } = watched;
  let { afterSeq, source: attached } = watched;
  for (let failures = 0; !signal.aborted; ) {
    const sinceMs = Date.now();
    try {
      const source = attached ?? (await ports.attach(principal, runId, { afterSeq, follow }));
      attached = undefined;
      let done = !("getReader" in source && follow);
      for await (const event of "getReader" in source ? eventsOf(source, signal) : source) {
        failures = 0;
        afterSeq = event.seq;
        done ||= event.type === "done";
        yield event;
      }
      if (done || signal.aborted) return;
      throw new Error("the stream of events closed early");
    } catch (cause) {
      if (signal.aborted) return;
      if (isRefusal(cause)) throw cause;
      ports.log("watch_broke", { runId, cause });
      // It was well as long as it lasted, though the job had nothing to tell.
      if (Date.now() - sinceMs >= limits.watchSteadyMs) failures = 0;
      if (++failures > limits.watchReattachments)
        throw new AppError("unavailable", "The job cannot be reached at the moment.", { cause, retryAfterSeconds: 1 });
      await sleep(limits.watchReattachPauseMs * 2 ** (failures - 1), signal).catch(() => {});
    }
  }
}

/** What tells that the job cannot be watched at all; an object that cannot be reached is asked again. */
export function isRefusal(cause: unknown): cause is AppError {
  return cause instanceof AppError && cause.code !== "unavailable";
}

/** The events of a stream of lines; the stream is cancelled when its reader stops early or `signal` aborts. */
async function* eventsOf(stream: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<JobEvent, void> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  const cancel = () => {
    reader.cancel().catch(() => {});
  };
  signal.addEventListener("abort", cancel, { once: true });
  let text = "";
  let whole = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const piece = decoder.decode(value, { stream: true });
      // Looked for in the piece alone: a line may be long, and come in many.
      const end = piece.lastIndexOf("\n");
      const lines = end < 0 ? [] : (text + piece.slice(0, end)).split("\n");
      text = end < 0 ? text + piece : piece.slice(end + 1);
      for (const line of lines) yield JSON.parse(line) as JobEvent;
    }
    whole = true;
  } finally {
    signal.removeEventListener("abort", cancel);
    if (!whole) cancel();
  }
}
