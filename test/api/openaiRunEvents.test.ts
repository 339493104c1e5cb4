import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import {
  callWeir,
  chat,
  completion,
  delta,
  event,
  events,
  scriptUpstream,
  storedRun,
  usageEvent,
} from "../support/call.ts";
import { heldUpstream, jobObject } from "../support/jobs.ts";
import { accepted, contentOf, follow, getRun, type RunEvent } from "../support/openaiRuns.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const end = [delta("", "stop"), usageEvent, event("[DONE]")];
const dataOf = ({ data }: RunEvent) => data;

/** A job that has ended, with every event that its stream tells. */
async function endedRun(body: Record<string, unknown> = {}): Promise<{ runId: string; told: RunEvent[] }> {
  const runId = await accepted(project, body);
  await using stream = await follow(project, runId);
  const told = await stream.rest();
  await expect.poll(async () => (await storedRun(runId))?.["status"]).not.toMatch(/queued|running/);
  return { runId, told };
}

/** What the object held is gone, as a day after the end. */
async function prune(runId: string): Promise<void> {
  await runInDurableObject(jobObject(runId), (_, { storage }) => storage.deleteAll());
  await abortAllDurableObjects();
}

/** A stream of many deltas: each is told before the next one is sent. */
async function manyDeltas(texts: readonly string[]): Promise<{ runId: string; told: RunEvent[] }> {
  const upstream = heldUpstream();
  using _sent = scriptUpstream(() => upstream.answer());
  const runId = await accepted(project);
  await using stream = await follow(project, runId);
  const told: RunEvent[] = [];
  for (const text of texts) {
    upstream.send(delta(text));
    const next = await stream.next();
    if (next) told.push(next);
  }
  upstream.send(...end);
  upstream.close();
  return { runId, told: [...told, ...(await stream.rest())] };
}

describe("GET /v1/runs/{id}/events", () => {
  it("streams chunks as OpenAI does: role, text, finish, usage, [DONE]; each with an id", async () => {
    using _sent = scriptUpstream(() => events(delta("Hel"), delta("lo"), ...end));
    const { runId, told } = await endedRun();
    const created = (await getRun(project, runId)).created_at;
    const head = { id: runId, object: "chat.completion.chunk", created, model: "test-model" };
    expect(told.map(dataOf)).toEqual([
      ...told.slice(0, -3).map(() => ({ ...head, choices: [expect.objectContaining({ finish_reason: null })] })),
      { ...head, choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: "stop" }] },
      { ...head, choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } },
      "[DONE]",
    ]);
    expect(told[0]?.data).toMatchObject({ choices: [{ delta: { role: "assistant" } }] });
    expect(contentOf(told)).toBe("Hello");
    const ids = told.map(({ id }) => id);
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    expect(ids.every(Number.isInteger)).toBe(true);
  });

  it("tells reasoning and tool calls", async () => {
    const chunk = (fields: object, finish: string | null = null) =>
      event({ choices: [{ index: 0, delta: fields, finish_reason: finish }] });
    const call = (fields: object) => chunk({ tool_calls: [{ index: 0, ...fields }] });
    using _sent = scriptUpstream(() =>
      events(
        chunk({ reasoning: "hm" }),
        call({ id: "call_1", type: "function", function: { name: "weather", arguments: "" } }),
        call({ function: { arguments: '{"city":' } }),
        call({ function: { arguments: '"Delft"}' } }),
        chunk({}, "tool_calls"),
        event("[DONE]"),
      ),
    );
    const { runId, told } = await endedRun();
    const deltas = told.flatMap(({ data }) => (data === "[DONE]" ? [] : data.choices.map((choice) => choice.delta)));
    expect(deltas.map(({ reasoning = "" }) => reasoning).join("")).toBe("hm");
    const pieces = deltas.flatMap(({ tool_calls: calls = [] }) => calls) as { function: { arguments: string } }[];
    expect(pieces[0]).toMatchObject({ index: 0, id: "call_1", type: "function", function: { name: "weather" } });
    expect(pieces.map((piece) => piece.function.arguments).join("")).toBe('{"city":"Delft"}');
    expect((await getRun(project, runId)).answer).toMatchObject({
      choices: [{ message: { reasoning: "hm", tool_calls: [{ id: "call_1", function: { name: "weather" } }] } }],
    });
  });

  it("goes on after any event, by header or by query, and the joined text is the stored one", async () => {
    const { runId, told } = await manyDeltas(["你", "好", "，", "weir", "!"]);
    expect(told.length).toBeGreaterThan(5);
    for (const [at, { id }] of told.entries()) {
      const before = told.slice(0, at + 1);
      for (const how of [{ lastEventId: id }, { query: `?after=${id}` }, { lastEventId: id, query: "?after=0" }]) {
        await using stream = await follow(project, runId, how);
        const rest = await stream.rest();
        expect(contentOf(rest, contentOf(before))).toBe("你好，weir!");
        expect(rest.at(-1)?.data).toBe("[DONE]");
        expect(rest.map(({ event: name }) => name)).not.toContain("restart");
      }
    }
  });

  it("follows a live run from the middle, for as many as watch", async () => {
    const upstream = heldUpstream();
    using sent = scriptUpstream(() => upstream.answer());
    const runId = await accepted(project);
    await using first = await follow(project, runId);
    upstream.send(delta("one "));
    const seen = await first.next();
    await first[Symbol.asyncDispose]();
    await using second = await follow(project, runId, { lastEventId: seen?.id ?? 0 });
    await using third = await follow(project, runId);
    upstream.send(delta("two"), ...end);
    upstream.close();
    const whole = contentOf(await third.rest());
    expect(whole).toBe("one two");
    expect(contentOf(await second.rest(), "one ")).toBe(whole);
    expect(sent).toHaveLength(1);
  });

  it("sends a restart where the text begins anew, also to one who comes back after it", async () => {
    const lost = heldUpstream();
    let calls = 0;
    using _sent = scriptUpstream(() => (calls++ === 0 ? lost.answer() : events(delta("whole"), ...end)));
    const runId = await accepted(project, { on_interrupt: "restart" });
    await using before = await follow(project, runId);
    lost.send(delta("half"));
    const half = await before.next();
    expect(contentOf(half ? [half] : [])).toBe("half");
    await abortAllDurableObjects();
    await runDurableObjectAlarm(jobObject(runId));
    await using after = await follow(project, runId, { lastEventId: half?.id ?? 0 });
    const rest = await after.rest();
    expect(rest[0]).toMatchObject({ event: "restart", data: { id: runId, choices: [], restart: { attempt: 2 } } });
    expect(contentOf(rest, "half")).toBe("whole");
    expect(rest[1]?.data).toMatchObject({ choices: [{ delta: { role: "assistant" } }] });
    await using replay = await follow(project, runId);
    expect(contentOf(await replay.rest())).toBe("whole");
    expect((await getRun(project, runId)).attempts).toHaveLength(2);
  });

  it("ends a failed run with an error event and without [DONE]", async () => {
    using _sent = scriptUpstream(() => events(delta("half")));
    const { runId, told } = await endedRun();
    expect(contentOf(told)).toBe("half");
    const error = { type: "api_error", code: "upstream_error", param: null, message: expect.any(String) };
    expect(told.at(-1)?.data).toEqual({ id: runId, status: "failed", error });
    expect(told.map(dataOf)).not.toContain("[DONE]");
    await using again = await follow(project, runId, { lastEventId: told.at(-1)?.id ?? 0 });
    expect(await again.rest()).toMatchObject([{ data: { status: "failed", error } }]);
  });

  it("ends an interrupted run so too, with what had arrived", async () => {
    const lost = heldUpstream();
    using _sent = scriptUpstream(() => lost.answer());
    const runId = await accepted(project);
    await using before = await follow(project, runId);
    lost.send(delta("half"));
    await before.next();
    await abortAllDurableObjects();
    await runDurableObjectAlarm(jobObject(runId));
    await using after = await follow(project, runId);
    const told = await after.rest();
    expect(contentOf(told)).toBe("half");
    expect(told.at(-1)?.data).toMatchObject({ status: "interrupted", error: { code: "unavailable" } });
    expect(await getRun(project, runId)).toMatchObject({ status: "interrupted", error: { code: "unavailable" } });
  });
});

describe("a run whose events are not kept any more", () => {
  it("is told from the log: one chunk, or a restart and one chunk", async () => {
    using _sent = scriptUpstream(() => events(delta("Hel"), delta("lo"), ...end));
    const { runId, told } = await endedRun();
    await prune(runId);
    await using whole = await follow(project, runId);
    const all = await whole.rest();
    expect(all.map(({ data }) => (data === "[DONE]" ? data : data.choices[0]?.delta))).toEqual([
      { role: "assistant", content: "Hello" },
      {},
      undefined,
      "[DONE]",
    ]);
    const half = told.slice(0, 1);
    await using rest = await follow(project, runId, { lastEventId: half[0]?.id ?? 0 });
    expect(contentOf(await rest.rest(), contentOf(half))).toBe("Hello");
    expect(await getRun(project, runId)).toMatchObject({ answer: { choices: [{ message: { content: "Hello" } }] } });
  });

  it("is told so as well where it was relayed", async () => {
    using _sent = scriptUpstream(() => completion("at once"));
    const { response, settled } = await chat(project.secret);
    await response.text();
    const runId = response.headers.get("x-weir-run-id") ?? "";
    // At once, while its record is on its way.
    await using stream = await follow(project, runId);
    const told = await stream.rest();
    await settled();
    expect(contentOf(told)).toBe("at once");
    expect(told.filter(({ data }) => data !== "[DONE]" && data.choices[0]?.delta.content)).toHaveLength(1);
    expect(told.at(-1)?.data).toBe("[DONE]");
    const { response: cancelled } = await callWeir(`/v1/runs/${runId}/cancel`, {
      secret: project.secret,
      method: "POST",
    });
    expect(await cancelled.json()).toMatchObject({ id: runId, status: "succeeded" });
  });
});
