import { type ByteReader, byteReader } from "./burstReader.ts";
import { AppError } from "./errors.ts";
import { type GateOptions, type Passage, StreamGate } from "./gate.ts";

/** A stream whose first event has been seen: from here on there is something to answer with, and no going back. */
export type OpenedStream = {
  reader: ByteReader;
  gate: StreamGate;
  /** What has passed the gate and is not yet written. */
  passed: Passage[];
};

/** Reads what follows the end of an answer and drops it, so that the connection can be used again; for `maxMs` at most. */
export async function drain(reader: OpenedStream["reader"], maxMs: number): Promise<void> {
  const giveUp = setTimeout(() => reader.cancel().catch(() => {}), maxMs);
  try {
    while (!(await reader.read()).done);
  } catch {
    // It broke after the answer was whole: nobody misses it.
  } finally {
    clearTimeout(giveUp);
  }
}

/**
 * Reads an upstream's stream up to its first event that is no error. An error that comes first, an empty stream or a
 * broken connection rejects with an AppError, with nothing shown to anybody. Owns the body until it resolves.
 */
export async function openStream(
  body: ReadableStream<Uint8Array>,
  options: GateOptions & { onFirstToken: () => void; signal: AbortSignal },
): Promise<OpenedStream> {
  const reader = byteReader(body);
  const gate = new StreamGate(options);
  gate.onFirstToken = options.onFirstToken;
  const passed: Passage[] = [];
  const stop = () => void reader.cancel().catch(() => {});
  options.signal.addEventListener("abort", stop);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const passage = done ? gate.end() : gate.pass(value);
      if (passage.end instanceof AppError && !gate.sawEvent) throw passage.end;
      // Its bytes hold until the next read only.
      passed.push({ ...passage, bytes: passage.bytes.slice() });
      if (gate.sawEvent || passage.end) return { reader, gate, passed };
    }
  } catch (thrown) {
    stop();
    if (thrown instanceof AppError) throw thrown;
    throw new AppError("upstream_error", "The upstream's stream broke.", {
      cause: thrown,
      details: { transient: true },
    });
  } finally {
    options.signal.removeEventListener("abort", stop);
  }
}
