import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { BatchResult, BatchStatus, BatchTicket } from "../../src/contract/jobBatches.ts";
import type { Page } from "../../src/contract/paging.ts";
import type { BatchActor } from "../../src/durable/batchActor.ts";
import { type Answered, answerOf, type Call, callWeir, delta, event, events, type Sent, usageEvent } from "./call.ts";
import type { TestKey } from "./projects.ts";

type Key = Pick<TestKey, "secret">;

const queries = ["batch", "batchResults"];

/** Calls a procedure of batches, whatever it answers. */
export async function callBatches<Data>(
  procedure: "submitBatch" | "batch" | "batchResults" | "cancelBatch",
  { secret }: Key,
  { input, env: bindings }: { input: Record<string, unknown>; env?: Call["env"] },
): Promise<Answered<Data>> {
  const path = `/trpc/jobs.${procedure}`;
  return answerOf(
    queries.includes(procedure)
      ? await callWeir(`${path}?input=${encodeURIComponent(JSON.stringify(input))}`, { secret })
      : await callWeir(path, { secret, body: input, env: bindings }),
  );
}

async function done<Data>(...call: Parameters<typeof callBatches>): Promise<Data> {
  const answer = await callBatches<Data>(...call);
  if (answer.error) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

/** Makes the template `say`, whose one message is its variable `word`. */
export async function makeTemplate({ secret }: Key): Promise<void> {
  const variables = { type: "object", properties: { word: { type: "string" } }, required: ["word"] };
  const content = { messages: [{ role: "user", content: "{{word}}" }], model: "test-model", variables };
  const { response } = await callWeir("/trpc/templates.create", { secret, body: { name: "say", content } });
  expect(response.status).toBe(200);
  await response.body?.cancel();
}

/** Items of the template `say`. */
export const saying = (...words: unknown[]) => words.map((word) => ({ variables: { word } }));

/** Submits a batch of the template `say`. */
export function submitBatch(key: Key, input: Record<string, unknown>, bindings?: Call["env"]): Promise<BatchTicket> {
  return done("submitBatch", key, { input: { template: "say", ...input }, env: bindings });
}

export function batchStatus(key: Key, batchId: string): Promise<BatchStatus> {
  return done("batch", key, { input: { batchId } });
}

export function cancelBatch(key: Key, batchId: string): Promise<BatchStatus> {
  return done("cancelBatch", key, { input: { batchId } });
}

export function resultPage(key: Key, input: Record<string, unknown>): Promise<Page<BatchResult>> {
  return done("batchResults", key, { input });
}

/** Waits until no job of the batch is queued or running. */
export async function ended(key: Key, batchId: string, timeout = 20_000): Promise<BatchStatus> {
  await expect.poll(() => live(key, batchId), { timeout, interval: 100 }).toBe(0);
  return batchStatus(key, batchId);
}

async function live(key: Key, batchId: string): Promise<number> {
  const { queued, running } = await batchStatus(key, batchId);
  return queued + running;
}

/** An upstream that says what it is told. */
export function echo(sent: Sent): Response {
  return events(delta(wordOf(sent)), delta("", "stop"), usageEvent, event("[DONE]"));
}

/** The text of the message that was sent. */
export function wordOf({ body }: Sent): string {
  const [message] = body["messages"] as { content: string }[];
  return message?.content ?? "";
}

/** The batch's object. */
export function batchObject(batchId: string): DurableObjectStub<BatchActor> {
  const actors = env.BATCHES as DurableObjectNamespace<BatchActor>;
  return actors.get(actors.idFromName(batchId));
}

/** How many runs and jobs the database holds in all. */
export async function storedRows(): Promise<{ runs: number; jobs: number } | null> {
  return env.DB.prepare("SELECT (SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM jobs) AS jobs").first();
}

/** The batches' objects, of which one method cannot be called. */
export function unreachable(method: string): DurableObjectNamespace {
  return {
    idFromName: (name: string) => env.BATCHES.idFromName(name),
    get: (id: DurableObjectId) =>
      new Proxy(env.BATCHES.get(id), {
        get: (stub, name) =>
          name === method
            ? async () => {
                throw new Error("unreachable");
              }
            : (...args: unknown[]) => Reflect.get(stub, name)(...args),
      }),
  } as unknown as DurableObjectNamespace;
}
