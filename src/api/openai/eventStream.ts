import { limits } from "../../contract/limits.ts";

const comment = ":\n\n";

/**
 * Server-sent events as a body, with a comment where there is none for `limits.eventsCommentMs`. Read at the client's
 * pace; `leave` is called when the client has left, and must end the events.
 */
export function eventStream(events: AsyncIterator<string, void>, leave: () => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let coming: Promise<IteratorResult<string, void>> | null = null;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      coming ??= events.next();
      const next = await inTime(coming, limits.eventsCommentMs);
      if (next) coming = null;
      if (next?.done) controller.close();
      else controller.enqueue(encoder.encode(next?.value ?? comment));
    },
    cancel() {
      leave();
    },
  });
}

/** Null when it takes longer. */
async function inTime<T>(coming: Promise<T>, ms: number): Promise<T | null> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), ms);
  try {
    return await Promise.race([coming, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
