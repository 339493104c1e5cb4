import { expect } from "vitest";
import type { HookAnswer, TriggerEvent } from "../../src/contract/events.ts";
import type { JobResult } from "../../src/contract/jobs.ts";
import type { Page } from "../../src/contract/paging.ts";
import type { TriggerWithSecret } from "../../src/contract/triggers.ts";
import { hexOf } from "../../src/core/digest.ts";
import { hmac } from "../../src/core/mac.ts";
import { signStandard } from "../../src/core/standardWebhooks.ts";
import type { Env } from "../../src/env.ts";
import { type Call, callWeir } from "./call.ts";
import { callProcedure, declaredProcedures } from "./door.ts";
import { insertTestProject, type TestKey } from "./projects.ts";

type ErrorData = { message: string; data: { weir: { code: string; param: string | null; details?: unknown } } };

/** Calls any procedure, whatever it answers. */
export async function answerOf(key: TestKey, path: string, input: unknown) {
  const procedure = declaredProcedures.find((declared) => declared.path === path);
  if (!procedure) throw new Error(`no procedure ${path}`);
  const { status, text, body } = await callProcedure(procedure, { secret: key.secret, input });
  const { result, error } = body as { result?: { data: unknown }; error?: ErrorData };
  return { status, text, data: result?.data, error: error && { message: error.message, ...error.data.weir } };
}

export async function done<Data>(key: TestKey, path: string, input: unknown): Promise<Data> {
  const { status, text, data } = await answerOf(key, path, input);
  expect(status, text).toBe(200);
  return data as Data;
}

/** A project with a template of one variable, and a trigger of the scheme that fills it from `text` of the body. */
export async function triggerProject(
  trigger: Record<string, unknown> = {},
  options: Parameters<typeof insertTestProject>[0] = {},
) {
  const key = await insertTestProject(options);
  const content = { messages: [{ role: "user", content: "Say {{words}}" }], model: "test-model" };
  await done(key, "templates.create", { name: "say", content });
  const made = await done<TriggerWithSecret>(key, "triggers.create", {
    name: "hook",
    scheme: "standard",
    template: "say",
    variables: { words: "text" },
    ...trigger,
  });
  const { id } = made.trigger;
  return {
    key,
    projectId: key.principal.projectId,
    ...made,
    id,
    /** The end of a run; a test that does not wait for it leaves its calls to the next one. */
    ended: (runId: string | null | undefined) => done<JobResult>(key, "jobs.result", { runId }),
    events: async (input: object = {}) =>
      (await done<Page<TriggerEvent>>(key, "triggers.events", { triggerId: id, ...input })).items,
  };
}

export type Posted = { status: number; text: string; answer: HookAnswer; headers: Headers };

/** Posts to a trigger's address and waits for what the Worker does after its answer. */
export async function post(
  id: string,
  body: Call["body"],
  headers: Record<string, string> = {},
  env: Partial<Env> = {},
): Promise<Posted> {
  const { response, settled } = await callWeir(`/hooks/${id}`, { method: "POST", body, headers, env });
  const text = await response.text();
  await settled();
  return { status: response.status, text, answer: JSON.parse(text), headers: response.headers };
}

/** Headers of Standard Webhooks for a body. */
export async function standardHeaders(
  secret: string,
  body: string,
  { id = "msg_1", timestamp = Math.floor(Date.now() / 1000) }: { id?: string; timestamp?: number } = {},
): Promise<Record<string, string>> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": await signStandard([secret], { id, timestamp, body }),
  };
}

const utf8 = (text: string) => new TextEncoder().encode(text);

/** Headers as GitHub sends them. */
export async function githubHeaders(secret: string, body: string, delivery = crypto.randomUUID(), event = "issues") {
  return {
    "x-hub-signature-256": `sha256=${hexOf(await hmac("SHA-256", utf8(secret), [body]))}`,
    "x-github-delivery": delivery,
    "x-github-event": event,
  };
}

const now = () => Math.floor(Date.now() / 1000);

/** The header as Stripe sends it. */
export async function stripeHeaders(secret: string, body: string, timestamp = now()) {
  const mac = hexOf(await hmac("SHA-256", utf8(secret), [`${timestamp}.${body}`]));
  return { "stripe-signature": `t=${timestamp},v1=${mac},v0=${"0".repeat(64)}` };
}

/** Headers as Slack sends them. */
export async function slackHeaders(secret: string, body: string, timestamp = now()) {
  const mac = hexOf(await hmac("SHA-256", utf8(secret), [`v0:${timestamp}:${body}`]));
  return { "x-slack-request-timestamp": String(timestamp), "x-slack-signature": `v0=${mac}` };
}
