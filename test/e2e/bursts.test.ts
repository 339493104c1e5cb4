import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chunk } from "../support/upstream.ts";
import { chunkedStream, event, type FaultBench, framed, head, startFaultBench } from "./faultBench.ts";

/*
 * An upstream that sends faster than each chunk could be looked at: what it sends is gathered, and nothing of that shows
 * but in what it costs.
 */

let bench: FaultBench;
beforeAll(async () => {
  bench = await startFaultBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const token = (at: number) => event(chunk({ content: ` 水坝${at}` }));
const tokens = (count: number, from = 0) => Array.from({ length: count }, (_, at) => token(from + at));
const ending = [event(chunk({}, "stop")), event("[DONE]")];

/** Each event in a chunk of HTTP's framing of its own, as models' servers send them. */
async function sendFramed(socket: Socket, events: readonly string[]): Promise<void> {
  for (const one of events) {
    socket.write(framed(one));
    // Apart, so that they do not become one packet, and still a burst.
    if (Math.random() < 0.02) await pause(0);
  }
}

const contentOf = (count: number) => Array.from({ length: count }, (_, at) => ` 水坝${at}`).join("");

/** Reads until the text so far is as long as one, or the stream ends. */
async function readUntil(response: Response, length: number): Promise<string> {
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  let text = "";
  while (text.length < length) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  reader?.releaseLock();
  return text;
}

describe("a burst", () => {
  it.each([1, 30, 300, 5_000])("of %d events reaches the client byte for byte", async (count) => {
    bench.play(async ({ socket }) => {
      socket.write(head(chunkedStream));
      await sendFramed(socket, [...tokens(count), ...ending]);
      socket.write("0\r\n\r\n");
    });
    const { text, id } = await bench.ask();
    expect(text).toBe([...tokens(count), ...ending].join(""));
    const { run, contents } = await bench.settled(id);
    expect(run.status).toBe("succeeded");
    expect(contents?.content).toBe(contentOf(count));
  });

  it("leaves in few pieces: what each of its events would cost is paid for many at once", async () => {
    const count = 5_000;
    bench.play(async ({ socket }) => {
      socket.write(head(chunkedStream));
      await sendFramed(socket, [...tokens(count), ...ending]);
      socket.write("0\r\n\r\n");
    });
    const outgoing = request(`${bench.server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${bench.server.secretKey}`, "content-type": "application/json" },
    });
    outgoing.end(JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "Hi" }] }));
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    // Node tells of each chunk of HTTP's framing by itself.
    const pieces: Buffer[] = [];
    for await (const piece of response) pieces.push(piece);
    expect(Buffer.concat(pieces).toString()).toBe([...tokens(count), ...ending].join(""));
    expect(pieces.length).toBeLessThan(count / 4);
  });

  it.each([7, 113, 334, 1_500])(
    "of %d events that stops dead is not held back, and what follows goes on",
    async (count) => {
      const seen = Promise.withResolvers<void>();
      bench.play(async ({ socket }) => {
        socket.write(head(chunkedStream));
        for (let round = 0; round < 3; round += 1) {
          await sendFramed(socket, tokens(count, round * count));
          if (round === 1) await seen.promise;
          // Longer than anything is waited for.
          else await pause(50);
        }
        await sendFramed(socket, ending);
        socket.write("0\r\n\r\n");
      });
      const response = await bench.post();
      const half = tokens(2 * count).join("");
      // The upstream is silent until this much has been read.
      const first = await readUntil(response, half.length);
      expect(first).toBe(half);
      seen.resolve();
      expect(await readUntil(response, Number.POSITIVE_INFINITY)).toBe(
        [...tokens(count, 2 * count), ...ending].join(""),
      );
    },
  );

  it("that stops dead where what is kept twice is emptied is told whole all the same", async () => {
    const large = (length: number) => event(chunk({ content: "z".repeat(length) }));
    for (let length = 30_000; length < 40_000; length += 500) {
      const sent = [...tokens(12), large(length), large(length)];
      const seen = Promise.withResolvers<void>();
      bench.play(async ({ socket }) => {
        socket.write(head(chunkedStream));
        for (const one of sent) socket.write(framed(one));
        await seen.promise;
        await sendFramed(socket, ending);
        socket.write("0\r\n\r\n");
      });
      const response = await bench.post();
      expect(await readUntil(response, sent.join("").length)).toBe(sent.join(""));
      seen.resolve();
      expect(await readUntil(response, Number.POSITIVE_INFINITY)).toBe(ending.join(""));
    }
  });

  it.each([7, 334, 1_500])(
    "of %d events whose connection breaks is told to its last event, and that it broke",
    async (count) => {
      bench.play(async ({ socket }) => {
        socket.write(head(chunkedStream));
        await sendFramed(socket, tokens(count));
        await pause(20);
        socket.end();
      });
      const { text, id } = await bench.ask();
      expect(text.startsWith(tokens(count).join(""))).toBe(true);
      expect(text).toContain('"code":"upstream_error"');
      expect(text).not.toContain("[DONE]");
      const { run, contents } = await bench.settled(id);
      expect(run).toMatchObject({ status: "failed", errorCode: "upstream_error" });
      expect(contents?.content).toBe(contentOf(count));
    },
  );

  it("whose client leaves is stopped at the upstream, with its partial text on record", async () => {
    const closed = Promise.withResolvers<void>();
    bench.play(async ({ socket, closedByPeer }) => {
      void closedByPeer.then(closed.resolve);
      socket.write(head(chunkedStream));
      for (let at = 0; socket.writable; at += 100) {
        await sendFramed(socket, tokens(100, at));
        await pause(1);
      }
    });
    const leave = new AbortController();
    const response = await bench.post({}, leave.signal);
    await readUntil(response, 50_000);
    leave.abort();
    await closed.promise;
    const { run, contents } = await bench.settled(response.headers.get("x-weir-run-id") ?? "");
    expect(run.status).toBe("cancelled");
    expect(contents?.content?.startsWith(contentOf(100))).toBe(true);
  });

  it("whose client reads nothing holds the upstream back", async () => {
    let sent = 0;
    const large = framed(event(chunk({ content: "x".repeat(4_000) })));
    const stopped = Promise.withResolvers<void>();
    bench.play(async ({ socket, closedByPeer }) => {
      void closedByPeer.then(stopped.resolve);
      socket.write(head(chunkedStream));
      while (socket.writable && sent < 64 * 1024 * 1024) {
        sent += large.length;
        if (!socket.write(large)) await Promise.race([new Promise((go) => socket.once("drain", go)), closedByPeer]);
      }
    });
    const leave = new AbortController();
    const response = await bench.post({}, leave.signal);
    let before = -1;
    while (before !== sent) {
      before = sent;
      await pause(300);
    }
    // What sockets absorb on both sides.
    expect(sent).toBeLessThan(16 * 1024 * 1024);
    leave.abort();
    await response.body?.cancel().catch(() => {});
    await stopped.promise;
  });

  it("of any pace reaches the client byte for byte", { timeout: 60_000 }, async () => {
    const one = async (seed: number) => {
      let state = seed;
      const random = (below: number) => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
        return state % below;
      };
      const events: string[] = [];
      for (let at = 0; at < 400; at += 1)
        events.push(random(40) === 0 ? event(chunk({ content: "y".repeat(random(30_000)) })) : token(at));
      events.push(...ending);
      bench.play(async ({ socket }) => {
        socket.write(head(chunkedStream));
        for (const text of events) {
          socket.write(framed(text));
          if (random(25) === 0) await pause(random(25));
        }
        socket.write("0\r\n\r\n");
      });
      const { text } = await bench.ask();
      expect(text, `seed ${seed}`).toBe(events.join(""));
    };
    for (let seed = 1; seed <= 25; seed += 1) await one(seed);
  });
});
