import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { createGzip, gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startUpstream } from "../support/upstream.ts";
import {
  completion,
  eventStream,
  expectCut,
  expectNextServed,
  expectRefused,
  type FaultBench,
  head,
  json,
  key,
  part,
  startFaultBench,
  whole,
} from "./faultBench.ts";

let bench: FaultBench;
beforeAll(async () => {
  bench = await startFaultBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());
afterEach(() => expectNextServed(bench));

describe("fault 5: an upstream that cannot be reached", () => {
  let plain: Server;
  let port: number;
  beforeAll(async () => {
    // Speaks no TLS.
    plain = createServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(
      0,
      "127.0.0.1",
    );
    await once(plain, "listening");
    ({ port } = plain.address() as AddressInfo);
  });
  afterAll(() => plain.close());

  it.each([
    ["refused", () => "http://127.0.0.1:1/v1"],
    ["dns", () => "https://weir-nowhere.invalid/v1"],
    ["tls", () => `https://127.0.0.1:${port}/v1`],
  ])("(%s) is 502 after retries, its address untold", async (name, address) => {
    await bench.client.upstreams.create.mutate({ name, baseUrl: address(), apiKey: key });
    for (const stream of [true, false]) {
      const { status, text, id } = await bench.ask({ model: `${name}/m`, stream });
      expect(status).toBe(502);
      expect(text).not.toMatch(/127\.0|nowhere|:\d{2,}/);
      const { run } = await bench.settled(id);
      expect(run).toMatchObject({ status: "failed", errorCode: "upstream_error", upstream: name });
      expect(run.attempts).toMatchObject(Array(2).fill({ status: null, error: "upstream_error" }));
    }
  });
});

describe("fault 15: answers that are none, on the wire", () => {
  it("gzip is decoded, each event when it comes, and a whole answer too", async () => {
    bench.play(async ({ socket }) => {
      socket.write(head({ ...eventStream, "content-encoding": "gzip", connection: "close" }));
      const gzip = createGzip();
      gzip.pipe(socket, { end: false });
      gzip.write(part);
      gzip.flush();
      await received.promise;
      gzip.end(whole.slice(part.length));
      gzip.once("end", () => socket.end());
    });
    const received = Promise.withResolvers<void>();
    const response = await bench.post();
    expect(response.headers.get("content-encoding")).toBeNull();
    const reader = response.body?.getReader();
    const first = await reader?.read();
    received.resolve();
    expect(new TextDecoder().decode(first?.value)).toBe(part);
    let rest = "";
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read())
      rest += new TextDecoder().decode(next.value);
    expect(part + rest).toBe(whole);

    const zipped = gzipSync(completion);
    bench.play(({ socket }) => {
      socket.write(head({ ...json, "content-encoding": "gzip", "content-length": zipped.length }));
      socket.write(zipped);
    });
    const answer = await bench.ask({ stream: false });
    expect(answer).toMatchObject({ status: 200, text: completion });
    expect(answer.headers.get("content-encoding")).toBeNull();
  });

  it("gzip that is none, or is cut, is no success", async () => {
    for (const body of [Buffer.from(completion), gzipSync(completion).subarray(0, 40)]) {
      bench.play(({ socket }) => {
        socket.write(head({ ...json, "content-encoding": "gzip", "content-length": body.length }));
        socket.write(body);
      });
      await expectRefused(bench, { stream: false });
    }
  });

  it.each([
    ["more than comes", Buffer.byteLength(completion) + 500],
    ["less than comes", 40],
    ["nothing", 0],
    ["no number", "many"],
  ])("a whole answer whose content-length tells of %s is 502", async (_name, length) => {
    bench.play(({ socket }) => socket.end(head({ ...json, "content-length": length }) + completion));
    await expectRefused(bench, { stream: false });
  });

  it.each([
    ["more than comes", 5_000],
    ["less than comes", Buffer.byteLength(part)],
  ])("a stream whose content-length tells of %s is cut", async (_name, length) => {
    bench.play(({ socket }) => socket.end(head({ ...eventStream, "content-length": length }) + part));
    await expectCut(bench);
  });

  it.each([
    ["an HTML page", `${head({ "content-type": "text/html", "content-length": 17 })}<html>hi</html>\r\n`],
    ["no HTTP at all", "SSH-2.0-OpenSSH_9.6\r\n"],
    ["a head that never ends", `HTTP/1.1 200 OK\r\n${"x-pad: aaaaaaaaaaaaaaaa\r\n".repeat(100)}`],
    ["nothing", ""],
    ["a status alone", head({ "content-length": 0 })],
  ])("%s is 502", async (_name, bytes) => {
    for (const stream of [true, false]) {
      bench.play(({ socket }) => socket.end(bytes));
      await expectRefused(bench, { stream });
    }
  });

  it("informational answers before the real one are no answers", async () => {
    bench.play(({ socket }) =>
      socket.end(`HTTP/1.1 100 Continue\r\n\r\n${head({ ...json, connection: "close" })}${completion}`),
    );
    const { status, text, id } = await bench.ask({ stream: false });
    if (status === 200) expect(text).toBe(completion);
    else expect(status).toBe(502);
    expect((await bench.settled(id)).run.status).toBe(status === 200 ? "succeeded" : "failed");
  });
});

describe("fault 16: a redirect to another server", () => {
  it.each([301, 302, 303, 307, 308])("%i is 502, and neither the key nor a request follows", async (status) => {
    await using elsewhere = await startUpstream(({ response }) => response.end("{}"));
    for (const stream of [true, false]) {
      bench.play(({ socket }) => socket.end(head({ location: elsewhere.url, "content-length": 0 }, `${status} Moved`)));
      await expectRefused(bench, { stream }, 1);
    }
    expect(elsewhere.requests).toHaveLength(0);
  });
});
