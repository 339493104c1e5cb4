import { createTRPCClient, httpBatchLink } from "@trpc/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AppRouter } from "../../src/api/trpc/router.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { chunk, sendEvent, startUpstream, type Upstream } from "../support/upstream.ts";

let upstream: Upstream;
let server: TestServer;

beforeAll(async () => {
  upstream = await startUpstream(async ({ request, response }) => {
    sendEvent(response, chunk({ content: "partial text" }));
    const flowing = JSON.stringify(request.json).includes("flowing");
    const pace = setInterval(() => flowing && sendEvent(response, chunk({ content: "." })), 50);
    response.on("close", () => clearInterval(pace));
  });
  server = await startTestServer({ env: { UPSTREAM_BASE_URL: upstream.url, UPSTREAM_API_KEY: "k" } });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

describe("a client that leaves mid-stream", () => {
  it.each(["flowing", "silent"])(
    "aborts a %s upstream and leaves a cancelled run with the partial text",
    async (how) => {
      const leaving = new AbortController();
      const index = upstream.requests.length;
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${server.secretKey}`, "content-type": "application/json" },
        body: JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: how }] }),
        signal: leaving.signal,
      });
      await response.body?.getReader().read();
      const { closedByPeer } = await upstream.exchange(index);
      leaving.abort();
      // Resolves only when the upstream saw its connection close; a relay that went on would hang here.
      await closedByPeer;

      const client = createTRPCClient<AppRouter>({
        links: [httpBatchLink({ url: `${server.url}/trpc`, headers: { authorization: `Bearer ${server.secretKey}` } })],
      });
      const id = response.headers.get("x-weir-run-id") ?? "";
      await expect
        .poll(async () => (await client.runs.get.query({ id })).run.status, { timeout: 10_000 })
        .toBe("cancelled");
      const { run, contents } = await client.runs.get.query({ id });
      expect(contents?.content).toContain("partial text");
      expect(run.usage).toBeNull();
      expect(run.cost).toBeNull();
    },
  );
});
