import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { WebhookEvent } from "../../src/contract/endpoints.ts";
import { type Exchange, type RecordedRequest, sendStream, startUpstream } from "../support/upstream.ts";
import { type JobBench, slowStream, startJobBench } from "./jobBench.ts";

let bench: JobBench;
beforeAll(async () => {
  bench = await startJobBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const messages = [{ role: "user" as const, content: "Hi" }];
/** For what comes by itself, on a busy machine too. */
const patient = { timeout: 15_000 };
const end = (status: number) => (exchange: Exchange) => void exchange.response.writeHead(status).end("noted");

/** A real server, and an endpoint there that jobs may name. */
async function startReceiver(answer: (exchange: Exchange, count: number) => unknown) {
  const server = await startUpstream((exchange) => answer(exchange, server.requests.length));
  const url = server.url.replace("/v1", "/hook");
  const { endpoint, secret } = await bench.client.endpoints.create.mutate({ url });
  const endpointId = endpoint.id;
  return {
    endpointId,
    secret,
    requests: server.requests,
    exchange: server.exchange,
    submit: (events?: WebhookEvent[]) =>
      bench.client.jobs.submit.mutate({ model: "m", messages, callback: { endpointId, events } }),
    deliveries: async () => (await bench.client.endpoints.deliveries.list.query({ endpointId })).items,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const idOf = ({ headers }: RecordedRequest) => String(headers["webhook-id"]);
const timestampOf = ({ headers }: RecordedRequest) => Number(headers["webhook-timestamp"]);

describe.concurrent("a receiver over a real connection", () => {
  it("gets a message that the reference library verifies", async ({ expect }) => {
    await using receiver = await startReceiver(end(200));
    const { runId } = await receiver.submit();
    await vi.waitUntil(() => receiver.requests.length === 1, { timeout: 10_000 });
    const [request] = receiver.requests as [RecordedRequest];
    expect(request).toMatchObject({ method: "POST", path: "/hook", json: { type: "run.succeeded", data: { runId } } });
    const headers = request.headers as Record<string, string>;
    expect(new Webhook(receiver.secret).verify(request.text, headers)).toEqual(request.json);
    await expect
      .poll(receiver.deliveries, patient)
      .toMatchObject([{ id: idOf(request), status: "delivered", lastAttempt: { status: 200, answer: "noted" } }]);
  });

  it("that resets the connection has failed, and gets the message again", async ({ expect }) => {
    await using receiver = await startReceiver((exchange, count) => {
      if (count === 1) exchange.socket.resetAndDestroy();
      else end(204)(exchange);
    });
    await receiver.submit();
    await vi.waitUntil(() => receiver.requests.length === 2, { timeout: 15_000 });
    expect(new Set(receiver.requests.map(idOf)).size).toBe(1);
    await expect.poll(receiver.deliveries, patient).toMatchObject([{ status: "delivered", attempts: 2 }]);
  });

  it("is not followed when it redirects", async ({ expect }) => {
    await using elsewhere = await startUpstream(end(200));
    await using receiver = await startReceiver(({ response }) =>
      response.writeHead(307, { location: elsewhere.url }).end(),
    );
    await receiver.submit();
    await expect
      .poll(receiver.deliveries, { timeout: 10_000 })
      .toMatchObject([{ status: "pending", lastAttempt: { status: 307, error: "status" } }]);
    expect(elsewhere.requests).toHaveLength(0);
  });

  it("that answers without end is left after 1 KB", async ({ expect }) => {
    let isLeft = false;
    await using receiver = await startReceiver(async ({ response, closedByPeer }) => {
      void closedByPeer.then(() => {
        isLeft = true;
      });
      response.writeHead(200);
      for (let sent = 0; !isLeft && sent < 100_000; sent++) {
        response.write("x".repeat(1_000));
        await new Promise((go) => setTimeout(go, 1));
      }
    });
    await receiver.submit();
    await expect
      .poll(receiver.deliveries, { timeout: 10_000 })
      .toMatchObject([{ status: "delivered", lastAttempt: { answer: "x".repeat(1_024) } }]);
    await vi.waitUntil(() => isLeft, { timeout: 5_000 });
  });

  it("that stalls is given up after 15 s", async ({ expect }) => {
    let isLeft = false;
    await using receiver = await startReceiver(async ({ closedByPeer }) => {
      await closedByPeer;
      isLeft = true;
    });
    await receiver.submit();
    await expect
      .poll(receiver.deliveries, { timeout: 25_000, interval: 200 })
      .toMatchObject([{ status: "pending", attempts: 1, lastAttempt: { status: null, error: "timeout" } }]);
    const [delivery] = await receiver.deliveries();
    expect(delivery?.lastAttempt?.durationMs).toBeGreaterThanOrEqual(14_900);
    expect(delivery?.lastAttempt?.durationMs).toBeLessThan(17_000);
    await vi.waitUntil(() => isLeft, { timeout: 5_000 });
  });

  it("tells what a sample brings", async ({ expect }) => {
    await using receiver = await startReceiver(end(503));
    const attempt = await bench.client.endpoints.test.mutate({ id: receiver.endpointId });
    expect(attempt).toMatchObject({ status: 503, error: "status", answer: "noted" });
  });
});

describe("the runtime is killed", () => {
  it("after a receiver has got a message and before it answers: it gets it again, under the same id", async () => {
    await using receiver = await startReceiver((exchange, count) => count > 1 && end(200)(exchange));
    await receiver.submit();
    await vi.waitUntil(() => receiver.requests.length === 1, { timeout: 10_000 });
    await bench.kill();
    await bench.restart();
    await vi.waitUntil(() => receiver.requests.length === 2, { timeout: 20_000 });
    const [first, second] = receiver.requests as [RecordedRequest, RecordedRequest];
    expect(idOf(second)).toBe(idOf(first));
    expect(second.text).toBe(first.text);
    await expect.poll(receiver.deliveries, patient).toMatchObject([{ status: "delivered" }]);
  });

  it("between two attempts: the next one comes at its time, with a new timestamp", async () => {
    await using receiver = await startReceiver((exchange, count) => end(count === 1 ? 500 : 200)(exchange));
    await receiver.submit();
    await expect.poll(receiver.deliveries, { timeout: 10_000 }).toMatchObject([{ attempts: 1 }]);
    await bench.kill();
    await bench.restart();
    await vi.waitUntil(() => receiver.requests.length === 2, { timeout: 20_000 });
    const [first, second] = receiver.requests as [RecordedRequest, RecordedRequest];
    expect(idOf(second)).toBe(idOf(first));
    expect(timestampOf(second) - timestampOf(first)).toBeGreaterThanOrEqual(5);
    new Webhook(receiver.secret).verify(second.text, second.headers as Record<string, string>);
  });

  it("in the middle of an answer: the run's interruption is told", async () => {
    await using receiver = await startReceiver(end(200));
    bench.play(() => {});
    const calls = bench.upstream.requests.length;
    const { runId } = await receiver.submit();
    const stream = slowStream(await bench.upstream.exchange(calls));
    stream.send("half a ");
    const content = async () => (await bench.client.jobs.result.query({ runId, waitMs: 0 })).content;
    await expect.poll(content, patient).toBe("half a ");
    await bench.kill();
    await bench.restart();
    await vi.waitUntil(() => receiver.requests.length === 1, { timeout: 20_000 });
    expect(receiver.requests[0]?.json).toMatchObject({
      type: "run.interrupted",
      data: { runId, text: "half a ", error: { code: "unavailable" } },
    });
  });

  it("after a 410: nothing is sent any more, to which jobs there may be", async () => {
    bench.play(({ response }) => sendStream(response, ["ok"]));
    await using receiver = await startReceiver(end(410));
    const { endpointId: id } = receiver;
    const state = () => bench.client.endpoints.get.query({ id });
    await receiver.submit();
    await expect.poll(state, patient).toMatchObject({ endpoint: { disabled: { reason: "gone" } }, pending: 1 });
    await bench.kill();
    await bench.restart();
    await Promise.all([receiver.submit(), receiver.submit()]);
    await expect.poll(state, patient).toMatchObject({ pending: 3, endpoint: { status: "disabled" } });
    expect(receiver.requests).toHaveLength(1);
  });

  it("again and again while jobs end: every end is told, under one id each", async () => {
    bench.play(({ response }) => sendStream(response, ["ok"]));
    await using receiver = await startReceiver(end(200));
    const runIds: string[] = [];
    for (let round = 0; round < 3; round++) {
      const tickets = await Promise.all(Array.from({ length: 10 }, () => receiver.submit()));
      runIds.push(...tickets.map(({ runId }) => runId));
      await bench.kill();
      await bench.restart();
    }
    const told = () =>
      new Map(receiver.requests.map(({ json }) => [(json as { data: { runId: string } }).data.runId, json]));
    await vi.waitUntil(() => told().size === runIds.length, { timeout: 40_000 });
    expect(new Set(told().keys())).toEqual(new Set(runIds));
    expect(new Set(receiver.requests.map(idOf)).size).toBe(runIds.length);
  });
});
