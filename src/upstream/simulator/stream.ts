import type { Counted, Wire } from "./answer.ts";
import { silence, sleep } from "./clock.ts";
import { errorObject, headOf, usagesOf } from "./completion.ts";
import type { SimCall } from "./request.ts";
import type { Beat, Delta } from "./timeline.ts";

/**
 * The answer as server-sent events, made as they are read: a slow reader slows it. The caller owns the stream;
 * cancelling it, or aborting `signal`, stops every timer. A stall ends no other way, a reset errors the stream.
 */
export function eventStream(
  beats: Iterable<Beat>,
  { answers, wire, call, signal }: { answers: Counted[]; wire: Wire; call: SimCall; signal: AbortSignal },
): ReadableStream<Uint8Array> {
  const left = new AbortController();
  const stop = AbortSignal.any([signal, left.signal]);
  const pieces = inPieces(events(beats, { answers, wire, call, stop }), wire);
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const fail = () => controller.error(signal.reason);
      signal.addEventListener("abort", fail, { once: true });
      // Nothing to fail any more once the reader has left or the stream has ended.
      left.signal.addEventListener("abort", () => signal.removeEventListener("abort", fail), { once: true });
    },
    async pull(controller) {
      try {
        const { done, value } = await pieces.next();
        if (!done) return controller.enqueue(value);
        left.abort();
        controller.close();
      } catch (error) {
        controller.error(error);
      }
    },
    cancel(reason) {
      left.abort(reason);
    },
  });
}

/** `null` lets what is gathered go out: nothing follows for a while. */
type Frame = string | null;

async function* events(
  beats: Iterable<Beat>,
  { answers, wire, call, stop }: { answers: Counted[]; wire: Wire; call: SimCall; stop: AbortSignal },
): AsyncGenerator<Frame> {
  const asked = call.body.stream_options?.include_usage === true;
  const head = headOf(call, "chat.completion.chunk");
  const choiceEvent = (index: number, fields: object) =>
    data({
      ...head,
      choices: [{ index, delta: {}, logprobs: null, finish_reason: null, native_finish_reason: null, ...fields }],
      ...(asked && { usage: null }),
    });
  for (const beat of beats) {
    stop.throwIfAborted();
    switch (beat.kind) {
      case "pause":
        await sleep(beat.ms, stop);
        break;
      case "delta":
        yield choiceEvent(beat.choice, deltaFields(beat.delta, call));
        break;
      case "finish":
        yield choiceEvent(beat.choice, { finish_reason: beat.reason, native_finish_reason: beat.reason });
        break;
      case "comment":
        yield `${beat.text.replace(/^/gm, ": ")}\n\n`;
        break;
      case "malformed":
        yield `data: {"id":${JSON.stringify(call.id)},"choices":[{"index":0,"delta":{"content":\n\n`;
        break;
      case "error":
        yield data(errorObject(beat.message));
        return;
      case "stall":
        yield null;
        return await silence(stop);
      case "reset":
        yield null;
        throw new TypeError("The simulated connection was reset.");
      case "cut":
        return;
    }
  }
  if (asked) for (const usage of usagesOf(answers, wire, call)) yield data({ ...head, choices: [], usage });
  if (!wire.done) return;
  yield "data: [DONE]\n\n";
  if (wire.afterDone) yield choiceEvent(0, { delta: { content: "after [DONE]" } });
}

function data(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

function deltaFields(delta: Delta, call: SimCall): object {
  switch (delta.kind) {
    case "role":
      return { delta: { role: "assistant", content: "" } };
    case "content":
      return {
        delta: { content: delta.text },
        logprobs: delta.logprob && { content: [delta.logprob], refusal: null },
      };
    case "reasoning":
      return { delta: { [call.body.reasoning_field ?? "reasoning"]: delta.text } };
    case "toolStart": {
      const start = {
        index: delta.index,
        id: delta.id,
        type: "function",
        function: { name: delta.name, arguments: "" },
      };
      return { delta: { tool_calls: [start] } };
    }
    case "toolArguments":
      return { delta: { tool_calls: [{ index: delta.index, function: { arguments: delta.text } }] } };
  }
}

/** One piece an event; or, when the wire sets a size, pieces of that many bytes cut wherever they fall. */
async function* inPieces(frames: AsyncGenerator<Frame>, wire: Wire): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  const size = wire.chunkBytes;
  let gathered = wire.bom ? Uint8Array.of(0xef, 0xbb, 0xbf) : new Uint8Array();
  for await (const frame of frames) {
    if (frame === null) {
      if (gathered.length > 0) yield gathered;
      gathered = new Uint8Array();
      continue;
    }
    gathered = joined(gathered, encoder.encode(wire.crlf ? frame.replaceAll("\n", "\r\n") : frame));
    const whole = size === null ? gathered.length : gathered.length - (gathered.length % size);
    for (let at = 0; at < whole; at += size ?? whole) yield gathered.slice(at, at + (size ?? whole));
    gathered = gathered.slice(whole);
  }
  if (gathered.length > 0) yield gathered;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
