import { request } from "node:http";
import { expect, it } from "vitest";
import { startTestServer } from "../support/server.ts";
import { chunk, sendEvent, sendStream, startUpstream } from "../support/upstream.ts";

const body = (stream: boolean) =>
  JSON.stringify({ model: "test-model", stream, messages: [{ role: "user", content: "Hi" }] });

it("calls the upstream of its environment", async () => {
  await using upstream = await startUpstream(({ response }) => sendStream(response, ["a", "b"]));
  await using server = await startTestServer({ env: { UPSTREAM_BASE_URL: upstream.url, UPSTREAM_API_KEY: "k" } });
  const answer = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${server.secretKey}`, "content-type": "application/json" },
    body: body(true),
  });
  expect(answer.status).toBe(200);
  expect(await answer.text()).toContain("data: [DONE]");
  expect(upstream.requests[0]).toMatchObject({ path: "/v1/chat/completions", headers: { authorization: "Bearer k" } });
});

it("lets a client's disconnect reach the Worker, which leaves the upstream", async () => {
  await using upstream = await startUpstream(({ response }) => sendEvent(response, chunk({ content: "a" })));
  await using server = await startTestServer({ env: { UPSTREAM_BASE_URL: upstream.url, UPSTREAM_API_KEY: "k" } });
  const client = request(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${server.secretKey}`, "content-type": "application/json" },
  });
  const first = new Promise<void>((resolve) => client.on("response", (answer) => answer.once("data", () => resolve())));
  client.on("error", () => {}).end(body(true));
  const exchange = await upstream.exchange(0);
  await first;
  const began = performance.now();
  client.destroy();
  await exchange.closedByPeer;
  expect(performance.now() - began).toBeLessThan(1_000);
});

it("gives each server a state of its own", async () => {
  await using first = await startTestServer();
  await using second = await startTestServer();
  expect(first.url).not.toBe(second.url);
  const answer = await fetch(`${second.url}/v1/models`, { headers: { authorization: `Bearer ${first.secretKey}` } });
  expect(answer.status).toBe(401);
});
