import OpenAI, { APIError, InternalServerError } from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { chunk } from "../support/upstream.ts";
import {
  chunkedStream,
  completion,
  eventStream,
  expectCut,
  expectNextServed,
  expectRefused,
  type FaultBench,
  framed,
  head,
  json,
  part,
  startFaultBench,
} from "./faultBench.ts";

let bench: FaultBench;
let openai: OpenAI;
beforeAll(async () => {
  bench = await startFaultBench();
  openai = new OpenAI({ baseURL: `${bench.server.url}/v1`, apiKey: bench.server.secretKey, maxRetries: 0 });
});
afterAll(() => bench?.[Symbol.asyncDispose]());

afterEach(() => expectNextServed(bench));

describe("fault 8: a connection that breaks mid-stream", () => {
  it("by a reset ends with an error event", async () => {
    bench.play(async ({ socket }) => {
      socket.write(head(chunkedStream) + framed(part));
      await new Promise((resolve) => setTimeout(resolve, 100));
      socket.resetAndDestroy();
    });
    await expectCut(bench);
  });

  it.each([
    ["inside a chunk of the framing", head(chunkedStream) + framed(part) + framed(part).slice(0, 40)],
    ["between chunks, without the last one", head(chunkedStream) + framed(part)],
    ["after garbage for a chunk's size", `${head(chunkedStream)}${framed(part)}zzz\r\n`],
    ["in an answer that ends with its connection", head({ ...eventStream, connection: "close" }) + part],
    [
      "inside a character of one",
      `${head({ ...eventStream, connection: "close" })}${part}data: {"choices":[{"delta":{"content":"`,
    ],
    ["as a whole answer of HTTP", `${head(chunkedStream)}${framed(part)}0\r\n\r\n`],
  ])("%s ends with an error event, never [DONE]", async (_name, bytes) => {
    bench.play(({ socket }) => socket.end(bytes));
    await expectCut(bench);
  });

  it("makes the openai SDK throw in the middle, with the text it had", async () => {
    bench.play(({ socket }) => socket.end(head(chunkedStream) + framed(part)));
    let text = "";
    const read = async () => {
      const stream = await openai.chat.completions.create({
        model: "m",
        messages: [{ role: "user", content: "x" }],
        stream: true,
      });
      for await (const piece of stream) text += piece.choices[0]?.delta.content ?? "";
    };
    await expect(read()).rejects.toBeInstanceOf(APIError);
    expect(text).toBe("part 你好");
  });

  it("before its first event, or in a whole answer, is tried again and then 502", async () => {
    bench.play(({ socket }) => socket.end(head(chunkedStream) + framed(": hello\n\n")));
    await expectRefused(bench, {}, 2);
    bench.play(({ socket }) => socket.resetAndDestroy());
    await expectRefused(bench, {}, 2);
    bench.play(({ socket }) =>
      socket.end(head({ ...json, "transfer-encoding": "chunked" }) + framed(completion.slice(0, 50))),
    );
    await expectRefused(bench, { stream: false }, 2);
    const asked = openai.chat.completions.create({ model: "m", messages: [{ role: "user", content: "x" }] });
    await expect(asked).rejects.toBeInstanceOf(InternalServerError);
  });
});

describe("fault 11: bytes in pieces", () => {
  const odd = `\ufeff: hi\r\n\r\ndata:${JSON.stringify(chunk({ content: "你" }))}\r\n\r\nid: 1\r\ndata: ${JSON.stringify(chunk({ content: "好🎉" }))}\r\n\r\n: x\r\ndata: ${JSON.stringify(chunk({}, "stop"))}\r\n\r\ndata: [DONE]\r\n\r\n`;
  const wire = Buffer.from(`${head(chunkedStream)}${framed(odd)}0\r\n\r\n`);

  async function expectSame(pieces: Buffer[]): Promise<void> {
    bench.play(async ({ socket }) => {
      socket.setNoDelay(true);
      for (const piece of pieces) {
        socket.write(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    const { text, id } = await bench.ask();
    expect(text.replace("\ufeff", "")).toBe(odd.slice(1));
    const { run, contents } = await bench.settled(id);
    expect(run).toMatchObject({ status: "succeeded", malformed: false });
    expect(contents?.content).toBe("你好🎉");
  }

  it("one by one, the head included, are the same text", async () => {
    await expectSame([...wire].map((byte) => Buffer.of(byte)));
  });

  it("split at every seventh place are the same text", async () => {
    for (let at = 1; at < wire.length; at += 7) await expectSame([wire.subarray(0, at), wire.subarray(at)]);
  });

  it("are the same text to the openai SDK", async () => {
    bench.play(async ({ socket }) => {
      for (const byte of wire) socket.write(Buffer.of(byte));
    });
    const stream = await openai.chat.completions.create({
      model: "m",
      messages: [{ role: "user", content: "x" }],
      stream: true,
    });
    let text = "";
    for await (const piece of stream) text += piece.choices[0]?.delta.content ?? "";
    expect(text).toBe("你好🎉");
  });
});

describe("fault 13: a line of many megabytes", () => {
  it.each([
    ["first", ""],
    ["mid-stream", part],
  ])("%s is upstream_error, and the upstream is closed long before its end", async (_name, first) => {
    const taken = Promise.withResolvers<number>();
    bench.play(({ socket }) => {
      let bytes = 0;
      const piece = Buffer.alloc(64 * 1024, "a");
      socket.write(`${head({ ...eventStream, connection: "close" })}${first}data: "`);
      const write = () => socket.write(piece, wrote);
      const wrote = (failed?: Error | null) => {
        if (failed) return;
        bytes += piece.length;
        if (bytes < 64 * 1024 * 1024) write();
      };
      write();
      socket.once("close", () => taken.resolve(bytes));
    });
    if (first) await expectCut(bench);
    else await expectRefused(bench, {}, 1);
    // What sockets hold comes on top of the bound.
    expect(await taken.promise).toBeLessThan(limits.maxEventBytes + 16 * 1024 * 1024);
  });
});
