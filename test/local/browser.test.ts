import { expect, it } from "vitest";
import { startServer } from "../../src/local/server.ts";
import { startTestServer } from "../support/server.ts";
import { newState } from "./state.ts";

/** What a page at `origin` does: runs the sample greeting with the publishable key. */
function greet(server: { url: string; publishableKey: string }, origin: string | null): Promise<Response> {
  return fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${server.publishableKey}`,
      "content-type": "application/json",
      ...(origin && { origin }),
    },
    body: JSON.stringify({ prompt: { id: "greeting", variables: { name: "Ada" } } }),
  });
}

it("lets pages on this machine use the publishable key: on the common ports and its own, under both names", async () => {
  await using server = await startTestServer();
  const { port } = new URL(server.url);
  for (const host of ["localhost", "127.0.0.1"])
    for (const at of ["3000", "5173", "8787", port]) {
      const origin = `http://${host}:${at}`;
      const answer = await greet(server, origin);
      expect([origin, answer.status]).toEqual([origin, 200]);
      expect(answer.headers.get("access-control-allow-origin")).toBe(origin);
      expect(await answer.text()).toContain("Hello, Ada!");
    }
});

it("refuses the publishable key elsewhere", async () => {
  await using server = await startTestServer();
  const { port } = new URL(server.url);
  for (const origin of ["https://example.com", "http://localhost:4000", `https://localhost:${port}`, null])
    expect((await greet(server, origin)).status).toBe(403);
});

it("keeps the publishable key, for pages of its own address, when the port changes", async () => {
  await using state = await newState();
  const first = await startServer({ stateDir: state.path });
  await first[Symbol.asyncDispose]();
  await using second = await startServer({ stateDir: state.path });
  expect(second.publishableKey).toBe(first.publishableKey);
  expect(second.url).not.toBe(first.url);
  expect((await greet(second, second.url)).status).toBe(200);
  expect((await greet(second, first.url)).status).toBe(403);
});
