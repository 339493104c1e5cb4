import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.[Symbol.asyncDispose]());

type Habit = { headers: string[]; body?: string; chunked?: boolean };

const json = '{"model":"sim/echo","messages":[{"role":"user","content":"你好 Hello"}]}';
const spread = json.replaceAll(",", ",\n  ").replace("{", "{\n  ");
const escaped = json.replace("你好", "\\u4f60\\u597d");

/** What each published client puts on the wire, beside Host, Authorization and the length. */
const habits: Record<string, Habit> = {
  curl: { headers: ["User-Agent: curl/8.5.0", "Accept: */*", "Content-Type: application/json"], body: spread },
  "Ruby net/http": {
    headers: [
      "Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3",
      "Accept: */*",
      "User-Agent: Ruby",
      "Content-Type: application/json",
    ],
  },
  "Go net/http": {
    headers: ["User-Agent: Go-http-client/1.1", "Content-Type: application/json", "Accept-Encoding: gzip"],
    body: spread,
  },
  "C libcurl": { headers: ["Accept: */*", "Content-Type: application/json"] },
  "C# HttpClient": { headers: ["Content-Type: application/json; charset=utf-8"], body: escaped },
  "C# RestSharp": {
    headers: [
      "Accept: application/json, text/json, text/x-json, text/javascript, application/xml, text/xml",
      "User-Agent: RestSharp/111.0.0.0",
      "Accept-Encoding: gzip, deflate, br",
      "Content-Type: application/json; charset=utf-8",
    ],
  },
  "Node axios": {
    headers: [
      "Accept: application/json, text/plain, */*",
      "Content-Type: application/json",
      "User-Agent: axios/1.7.2",
      "Accept-Encoding: gzip, compress, deflate, br",
    ],
  },
  "Java OkHttp": {
    headers: ["Content-Type: application/json; charset=utf-8", "Accept-Encoding: gzip", "User-Agent: okhttp/4.12.0"],
  },
  "PHP Guzzle": { headers: ["User-Agent: GuzzleHttp/7", "Content-Type: application/json"], body: escaped },
  "PHP curl": { headers: ["Accept: */*", "Content-Type: application/json"], body: escaped },
  "Python requests": {
    headers: [
      "User-Agent: python-requests/2.32.3",
      "Accept-Encoding: gzip, deflate, br, zstd",
      "Accept: */*",
      "Content-Type: application/json",
    ],
    body: escaped,
  },
  "Python openai": {
    headers: [
      "Accept: application/json",
      "Content-Type: application/json",
      "User-Agent: OpenAI/Python 1.40.0",
      "Accept-Encoding: gzip, deflate",
      "X-Stainless-Lang: python",
      "X-Stainless-Retry-Count: 0",
    ],
  },
  "Rust reqwest": {
    headers: ["Content-Type: application/json", "Accept: */*"],
    body: '{"model":"sim/echo","messages":{"role":"user","content":"你好 Hello"}}',
  },
  "Swift URLSession": {
    headers: [
      "Content-Type: application/json",
      "Accept: */*",
      "Accept-Language: zh-CN,zh-Hans;q=0.9",
      "Accept-Encoding: gzip, deflate",
      "User-Agent: app/1 CFNetwork/1498 Darwin/23",
    ],
    chunked: true,
  },
  "Dart http": {
    headers: [
      "User-Agent: Dart/3.4 (dart:io)",
      "Accept-Encoding: gzip",
      "Content-Type: application/json; charset=utf-8",
    ],
  },
  "Node openai, streaming": {
    headers: [
      "Accept: application/json",
      "Content-Type: application/json",
      "User-Agent: OpenAI/JS 4.52.0",
      "sec-fetch-mode: cors",
      "Accept-Language: *",
      "Accept-Encoding: gzip, deflate",
    ],
    body: json.replace("{", '{"stream":true,'),
  },
  "no content type": { headers: [] },
};

/** Sends one request byte for byte and reads the answer to the connection's end. */
async function exchange({ headers, body = json, chunked = false }: Habit): Promise<{ head: string; body: string }> {
  const { hostname, port, host } = new URL(server.url);
  const bytes = Buffer.from(body);
  const framing = chunked ? "Transfer-Encoding: chunked" : `Content-Length: ${bytes.length}`;
  const lines = [
    "POST /v1/chat/completions HTTP/1.1",
    `Host: ${host}`,
    `Authorization: Bearer ${server.secretKey}`,
    ...headers,
    framing,
    "Connection: close",
  ];
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  if (!chunked) socket.write(bytes);
  else {
    for (let at = 0; at < bytes.length; at += 7) {
      const piece = bytes.subarray(at, at + 7);
      socket.write(`${piece.length.toString(16)}\r\n`);
      socket.write(piece);
      socket.write("\r\n");
    }
    socket.write("0\r\n\r\n");
  }
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part);
  const answer = Buffer.concat(parts);
  const split = answer.indexOf("\r\n\r\n");
  const head = answer.subarray(0, split).toString();
  return { head, body: unchunked(answer.subarray(split + 4), head) };
}

function unchunked(bytes: Buffer, head: string): string {
  if (!/transfer-encoding: chunked/i.test(head)) return bytes.toString();
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf("\r\n", at);
    const length = Number.parseInt(bytes.subarray(at, end).toString(), 16);
    if (!length) return Buffer.concat(parts).toString();
    parts.push(bytes.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}

describe("a client changed by base URL and key alone", () => {
  it.each(Object.entries(habits))("%s is served", async (name, habit) => {
    const { head, body } = await exchange(habit);
    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    if (!habit.headers.some((header) => header.startsWith("Accept-Encoding")))
      expect(head).not.toMatch(/content-encoding/i);
    if (name.includes("streaming")) {
      expect(head).toMatch(/content-type: text\/event-stream/i);
      expect(body.trimEnd().endsWith("data: [DONE]")).toBe(true);
      return;
    }
    expect(JSON.parse(body).choices[0].message.content).toBe("你好 Hello");
  });

  it("the real curl streams a stored template", async () => {
    const body = JSON.stringify({ stream: true, prompt: { id: "greeting", variables: { name: "Ada" } } });
    const { stdout } = await promisify(execFile)("curl", [
      "-sN",
      `${server.url}/v1/chat/completions`,
      "-H",
      `Authorization: Bearer ${server.secretKey}`,
      "-H",
      "Content-Type: application/json",
      "-d",
      body,
    ]);
    expect(stdout.split("\n\n").length).toBeGreaterThan(5);
    expect(stdout.trimEnd().endsWith("data: [DONE]")).toBe(true);
  });
});
