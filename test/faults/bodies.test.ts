import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { type Call, callWeir, completion, scriptUpstream } from "../support/call.ts";
import { expectNextServed } from "../support/faults.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});
afterEach(() => expectNextServed(secret));

const doors = ["/v1/chat/completions", "/trpc/completions.create", "/trpc/templates.create,runs.list?batch=1"];

async function status(path: string, call: Call): Promise<number> {
  const { response, settled } = await callWeir(path, { secret, ...call });
  const text = await response.text();
  await settled();
  if (response.status >= 400) expect(JSON.parse(text)).toBeTypeOf("object");
  return response.status;
}

/** A body of `bytes` bytes without a content length. */
function chunked(bytes: number): ReadableStream<Uint8Array> {
  const piece = new Uint8Array(256 * 1024).fill(0x20);
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      if (sent >= bytes) return controller.close();
      sent += piece.length;
      controller.enqueue(piece);
    },
  });
}

describe.each(doors)("fault 34: a hostile body on %s", (path) => {
  it.each([
    ["larger than the limit", "x".repeat(limits.maxBodyBytes + 1), 413],
    ["of 10 MB", "x".repeat(10_000_000), 413],
    ["of 10 MB, chunked", () => chunked(10_000_000), 413],
    ["nested 200,000 deep", `${"[".repeat(200_000)}${"]".repeat(200_000)}`, 400],
    ["nested 200,000 deep in objects", `${'{"a":'.repeat(200_000)}1${"}".repeat(200_000)}`, 400],
    ["nested and never closed", "{".repeat(100), 400],
    ["not JSON", "{oops", 400],
    ["empty", "", 400],
    ["broken off", () => new ReadableStream({ pull: (controller) => controller.error(new Error("gone")) }), 400],
    ["a JSON string", '"x"', 400],
    ["a JSON array", "[1,2]", 400],
    ["null", "null", 400],
    ["invalid UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 400],
    ["a raw NUL", '{"model":"m\u0000"}', 400],
    ["an escaped NUL", '{"model":"m","messages":[{"role":"user","content":"a\\u0000b"}]}', 400],
    ["a lone surrogate", '{"model":"m","messages":[{"role":"user","content":"a\\ud800b"}]}', 400],
    [
      "an escaped lone surrogate in a name",
      '{"model":"m","\\udfff":1,"messages":[{"role":"user","content":"a"}]}',
      400,
    ],
    ["a character cut in half", new Uint8Array([0x7b, 0x22, 0xe4, 0xbd, 0x22, 0x7d]), 400],
    ["a surrogate in UTF-8", new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]), 400],
    ["__proto__ as a key", '{"__proto__":{"model":"m"},"constructor":1}', 400],
  ] as [string, string | Uint8Array | (() => ReadableStream), number][])("%s", async (_name, body, expected) => {
    expect(await status(path, { body: typeof body === "function" ? body() : body })).toBe(expected);
  });

  it("random JSON never gets a 5xx", async () => {
    using _calls = scriptUpstream(() => completion("ok"));
    await fc.assert(
      fc.asyncProperty(fc.json(), async (body) => {
        expect(await status(path, { body })).toBeLessThan(500);
      }),
      { numRuns: 60 },
    );
  });

  it("random bytes never get a 5xx", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (body) => {
        expect(await status(path, { body })).toBeLessThan(500);
      }),
      { numRuns: 60 },
    );
  });
});
