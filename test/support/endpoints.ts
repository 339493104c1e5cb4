import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect } from "vitest";
import type { Delivery, DeliveryDetail } from "../../src/contract/deliveries.ts";
import type { Endpoint, EndpointState, EndpointWithSecret } from "../../src/contract/endpoints.ts";
import { limits } from "../../src/contract/limits.ts";
import type { Page } from "../../src/contract/paging.ts";
import { WebhookMessage } from "../../src/contract/webhookMessages.ts";
import type { Notice } from "../../src/core/webhookMessages.ts";
import { sampleNotice } from "../../src/core/webhookSamples.ts";
import type { EndpointActor } from "../../src/durable/endpointActor.ts";
import type { Env } from "../../src/env.ts";
import { type Answered, answerOf, callWeir, delta, event, events, usageEvent } from "./call.ts";
import type { TestKey } from "./projects.ts";

type Key = Pick<TestKey, "secret">;

const queries = /(?:^|\.)(?:list|get)$/;

/** Calls a procedure of `endpoints.*`, whatever it answers. */
export async function callEndpoints<Data>(
  { secret }: Key,
  procedure: string,
  input: unknown,
  bindings: Partial<Env> = {},
): Promise<Answered<Data>> {
  const path = `/trpc/endpoints.${procedure}`;
  return answerOf(
    queries.test(procedure)
      ? await callWeir(`${path}?input=${encodeURIComponent(JSON.stringify(input))}`, { secret, env: bindings })
      : await callWeir(path, { secret, body: input, env: bindings }),
  );
}

async function done<Data>(...call: Parameters<typeof callEndpoints>): Promise<Data> {
  const { status, data, error } = await callEndpoints<Data>(...call);
  expect(status, JSON.stringify(error)).toBe(200);
  return data;
}

/** For what comes by itself, on a busy machine too. */
export const patient = { timeout: 4_000 };

export const hookUrl = "https://receiver.test/hook";

/** Those that the present test has made. */
const made: string[] = [];

// What one test has not delivered must not come to the next one's receivers.
afterEach(async () => {
  await Promise.all(made.splice(0).map((id) => endpointObject(id).clear()));
});

/** Makes an endpoint at `hookUrl`. */
export async function makeEndpoint(key: Key, input: Record<string, unknown> = {}): Promise<Endpoint & Key> {
  const { endpoint, secret } = await done<EndpointWithSecret>(key, "create", { url: hookUrl, ...input });
  made.push(endpoint.id);
  return { ...endpoint, secret };
}

export const endpointState = (key: Key, id: string) => done<EndpointState>(key, "get", { id });
export const updateEndpoint = (key: Key, input: Record<string, unknown>) => done<Endpoint>(key, "update", input);
export const deliveryOf = (key: Key, endpointId: string, id: string) =>
  done<DeliveryDetail>(key, "deliveries.get", { endpointId, id });

export async function deliveriesOf(key: Key, endpointId: string, more: Record<string, unknown> = {}) {
  return (await done<Page<Delivery>>(key, "deliveries.list", { endpointId, ...more })).items;
}

/** A message as it reached its receiver. */
export type Received = {
  url: string;
  id: string;
  timestamp: string;
  signature: string;
  headers: Headers;
  body: string;
  message: WebhookMessage;
};

/** What upstreams answer while receivers are scripted. */
export const hello = () => events(delta("Hel"), delta("lo"), delta("", "stop"), usageEvent, event("[DONE]"));

/**
 * Stands where the network was: upstreams answer `Hello` or as the test says, receivers as the test says; what these were
 * sent is kept.
 */
export function scriptReceivers(
  answer: (received: Received, count: number) => Response | Promise<Response>,
  upstream: () => Response | Promise<Response> = hello,
): Received[] & Disposable {
  const network = globalThis.fetch;
  const all: Received[] = [];
  globalThis.fetch = async (input, init) => {
    const request = new Request(input, init);
    const { signal } = request;
    const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    aborted.catch(() => {});
    if (new URL(request.url).host === "upstream.test") return Promise.race([upstream(), aborted]);
    const received = await read(request);
    all.push(received);
    return Promise.race([answer(received, all.length), aborted]);
  };
  return Object.assign(all, {
    [Symbol.dispose]: () => {
      globalThis.fetch = network;
    },
  });
}

async function read(request: Request): Promise<Received> {
  const { url, headers } = request;
  const body = await request.text();
  const header = (name: string) => headers.get(name) ?? "";
  return {
    url,
    id: header("webhook-id"),
    timestamp: header("webhook-timestamp"),
    signature: header("webhook-signature"),
    headers,
    body,
    message: WebhookMessage.parse(JSON.parse(body)),
  };
}

/** The endpoint's object. */
export function endpointObject(id: string): DurableObjectStub<EndpointActor> {
  const actors = env.ENDPOINTS as DurableObjectNamespace<EndpointActor>;
  return actors.get(actors.idFromName(id));
}

/** Lets the endpoint's alarm go off. */
export const ring = (id: string) => runDurableObjectAlarm(endpointObject(id));

/** Messages of their own runs. */
export const notices = (count: number): Notice[] =>
  Array.from({ length: count }, (_, at) => sampleNotice("run.succeeded", Date.now() + at));

/** Hands messages over to an endpoint's object as a job does. */
export function handedOver(
  { principal: { projectId } }: Pick<TestKey, "principal">,
  endpointId: string,
  { messages, forMs = limits.deliveryKeptMs }: { messages: readonly Notice[]; forMs?: number | undefined },
): Promise<void> {
  return endpointObject(endpointId).accept({ projectId, endpointId }, messages, forMs);
}
