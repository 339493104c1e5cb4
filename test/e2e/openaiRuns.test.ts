import OpenAI, { APIError } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunObject } from "../../src/contract/openaiRuns.ts";
import { type Line, startLine } from "../support/line.ts";
import { chunk, sendEvent } from "../support/upstream.ts";
import { type FaultBench, startFaultBench } from "./faultBench.ts";
import { followRun } from "./runFollower.ts";

let bench: FaultBench;
let line: Line;
let client: OpenAI;
beforeAll(async () => {
  bench = await startFaultBench();
  line = await startLine(bench.server.url);
  client = new OpenAI({ baseURL: `${line.url}/v1`, apiKey: bench.server.secretKey, maxRetries: 0 });
});
afterAll(async () => {
  await line?.[Symbol.asyncDispose]();
  await bench?.[Symbol.asyncDispose]();
});

const texts = Array.from({ length: 60 }, (_, i) => `${i} 你好🎉 `);
const authorization = () => `Bearer ${bench.server.secretKey}`;
const eventsUrl = (id: string) => `${line.url}/v1/runs/${id}/events`;

const pause = () => new Promise<void>((resolve) => setTimeout(resolve, 20));

/** One text after the other, each once `after` the one before it: 20 ms unless told otherwise. */
function playSlowly(after: (at: number) => Promise<void> = pause): void {
  bench.play(async ({ response }) => {
    for (const [at, content] of texts.entries()) {
      sendEvent(response, chunk({ content }));
      await after(at);
    }
    sendEvent(response, chunk({}, "stop"));
    sendEvent(response, { ...chunk({}), choices: [], usage: { prompt_tokens: 1, completion_tokens: 60 } });
    sendEvent(response, "[DONE]");
    response.end();
  });
}

async function submit(body: Record<string, unknown> = {}): Promise<RunObject> {
  const response = await bench.post({ background: true, stream: false, ...body });
  expect(response.status).toBe(202);
  return (await response.json()) as RunObject;
}

async function getRun(id: string): Promise<RunObject> {
  const response = await fetch(`${bench.server.url}/v1/runs/${id}`, { headers: { authorization: authorization() } });
  return (await response.json()) as RunObject;
}

function contentOf({ answer }: RunObject): string {
  return (answer?.["choices"] as { message: { content: string } }[] | undefined)?.[0]?.message.content ?? "";
}

describe("a plain client that follows a run", () => {
  it("loses its connection again and again, comes back with the last id, and has the stored text byte for byte", async () => {
    const seen = texts.map(() => Promise.withResolvers<void>());
    // What came is seen, what is to come is not sent yet: each of these cuts meets a client that waits.
    playSlowly(async (at) => {
      if (at >= 10) return pause();
      await seen[at]?.promise;
      line.cut();
    });
    const { id } = await submit();
    const onEvent = (count: number) => seen[count - 1]?.resolve();
    const followed = await followRun({ url: eventsUrl(id), authorization: authorization(), onEvent });
    expect(followed).toEqual({ text: texts.join(""), losses: 10, restarts: 0, done: true });
    const run = await getRun(id);
    expect(run).toMatchObject({ status: "succeeded", usage: { total_tokens: 61 }, attempts: [{ status: 200 }] });
    expect(contentOf(run)).toBe(followed.text);
    expect((await bench.settled(id)).contents?.content).toBe(followed.text);
  });

  it("may leave for good: the job finishes, and a later reader gets all of it", async () => {
    playSlowly();
    const { id } = await submit();
    const leaving = new AbortController();
    const response = await fetch(eventsUrl(id), {
      headers: { authorization: authorization() },
      signal: leaving.signal,
    });
    await response.body?.getReader().read();
    leaving.abort();
    await expect.poll(async () => (await getRun(id)).status, { timeout: 10_000 }).toBe("succeeded");
    const calls = bench.upstream.requests.length;
    expect(await followRun({ url: eventsUrl(id), authorization: authorization() })).toMatchObject({
      text: texts.join(""),
      losses: 0,
    });
    expect(bench.upstream.requests).toHaveLength(calls);
  });

  it("cancels the run, and the upstream is closed within a second with the partial text kept", async () => {
    bench.play(({ response }) => sendEvent(response, chunk({ content: "partial" })));
    const index = bench.upstream.requests.length;
    const { id } = await submit();
    await expect.poll(async () => contentOf(await getRun(id)), { timeout: 10_000 }).toBe("partial");
    const { closedByPeer } = await bench.upstream.exchange(index);
    const beganAt = performance.now();
    const headers = { authorization: authorization() };
    const response = await fetch(`${line.url}/v1/runs/${id}/cancel`, { method: "POST", headers });
    expect(await response.json()).toMatchObject({ status: "cancelled", error: { code: "cancelled" } });
    await closedByPeer;
    expect(performance.now() - beganAt).toBeLessThan(1_000);
  });
});

describe("the openai SDK", () => {
  const question = { model: "m", messages: [{ role: "user" as const, content: "Hi" }] };

  it("submits a background run, polls it, and streams its chunks", async () => {
    playSlowly();
    const run = (await client.post("/chat/completions", { body: { ...question, background: true } })) as RunObject;
    expect(run).toMatchObject({ object: "chat.completion.run", status: "queued" });
    const stream = (await client.get(`/runs/${run.id}/events`, {
      stream: true,
    })) as AsyncIterable<OpenAI.ChatCompletionChunk>;
    let text = "";
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const part of stream) {
      text += part.choices[0]?.delta.content ?? "";
      usage = part.usage ?? usage;
    }
    expect(text).toBe(texts.join(""));
    expect(usage?.completion_tokens).toBe(60);
    const ended = (await client.get(`/runs/${run.id}`)) as RunObject;
    expect(ended.status).toBe("succeeded");
    expect(contentOf(ended)).toBe(text);
  });

  it("streams a background run at once, as any other stream", async () => {
    playSlowly();
    const stream = client.chat.completions.stream({ ...question, background: true });
    const answer = await stream.finalChatCompletion();
    expect(answer.id).toMatch(/^run_/);
    expect(answer.choices[0]).toMatchObject({ finish_reason: "stop", message: { content: texts.join("") } });
  });

  it("throws where the run fails instead of ending as if it were whole", async () => {
    bench.play(({ response }) => {
      sendEvent(response, chunk({ content: "half" }));
      response.end();
    });
    const { id } = await submit();
    const stream = (await client.get(`/runs/${id}/events`, {
      stream: true,
    })) as AsyncIterable<OpenAI.ChatCompletionChunk>;
    let text = "";
    const read = async () => {
      for await (const part of stream) text += part.choices[0]?.delta.content ?? "";
    };
    await expect(read()).rejects.toBeInstanceOf(APIError);
    expect(text).toBe("half");
  });
});
