import { createTRPCClient, httpBatchLink, TRPCClientError } from "@trpc/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AppRouter } from "../../src/api/trpc/router.ts";
import { run } from "../consumer/example.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let requests: string[];

function client(key: string) {
  return createTRPCClient<AppRouter>({
    links: [
      httpBatchLink({
        url: `${server.url}/trpc`,
        headers: { authorization: `Bearer ${key}` },
        fetch(input, init) {
          requests.push(String(input));
          return fetch(input, init as RequestInit);
        },
      }),
    ],
  });
}

beforeAll(async () => {
  server = await startTestServer();
  requests = [];
});
afterAll(() => server?.[Symbol.asyncDispose]());

describe("tRPC's own client", () => {
  it("runs the example of the consumer project", async () => {
    const lines = await run(server.url, server.secretKey);
    expect(lines[0]).toContain("greeting");
    expect(lines[2]).toMatch(/Ada.*run run_/s);
  });

  it("gets typed, validated output of the sample extractor", async () => {
    const answer = await client(server.secretKey).completions.create.mutate({
      template: "extract",
      variables: { text: "Ada, 36, likes engines." },
    });
    expect(answer.output).toMatchObject({
      name: expect.any(String),
      age: expect.any(Number),
      topics: expect.any(Array),
    });
    expect(answer.cost).toEqual({ micros: 0, currency: "CNY" });
  });

  it("sends calls made together as one request", async () => {
    requests.length = 0;
    const weir = client(server.secretKey);
    const [templates, runs, keys] = await Promise.all([
      weir.templates.list.query({}),
      weir.runs.list.query({}),
      weir.keys.list.query({}),
    ]);
    expect(requests).toHaveLength(1);
    expect(templates.items.map(({ name }) => name).sort()).toEqual(["extract", "greeting", "style", "summarise"]);
    expect(runs.items.length).toBeGreaterThan(0);
    expect(keys.items).toHaveLength(2);
  });

  it("gets code, field and request id with an error", async () => {
    const refused = client(server.secretKey).templates.get.query({ name: "nobody" });
    await expect(refused).rejects.toBeInstanceOf(TRPCClientError);
    await expect(refused).rejects.toMatchObject({
      data: { httpStatus: 404, weir: { code: "not_found", requestId: expect.stringMatching(/^req_/) } },
    });
    const invalid = client(server.secretKey).runs.list.query({ limit: 1_000 });
    await expect(invalid).rejects.toMatchObject({ data: { weir: { code: "invalid_request", param: "limit" } } });
  });

  it("gets no stack trace", async () => {
    const response = await fetch(`${server.url}/trpc/runs.list?input=%7B%22limit%22%3A0%7D`, {
      headers: { authorization: `Bearer ${server.secretKey}` },
    });
    expect(await response.text()).not.toMatch(/"stack"|index\.js/);
  });

  it("sees a revocation at once on the same isolate", async () => {
    const admin = client(server.secretKey);
    const { key, secret } = await admin.keys.create.mutate({ name: "short-lived", scopes: ["runs:read"] });
    const weir = client(secret);
    await weir.runs.list.query({});
    await admin.keys.revoke.mutate({ id: key.id });
    await expect(weir.runs.list.query({})).rejects.toMatchObject({ data: { weir: { code: "unauthenticated" } } });
  });
});
