import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobResult } from "../../src/contract/jobs.ts";
import { JobLog } from "../../src/durable/jobLog.ts";
import { delta, event, events, scriptUpstream, storedContents, storedRun } from "../support/call.ts";
import { callJobs, heldUpstream, jobObject, submitJob, textOf, watchJob } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

vi.setConfig({ testTimeout: 60_000 });

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** What a row of an object may hold on the platform; the local runtime does not enforce it. */
const rowBytes = 2_000_000;

const resultOf = async (runId: string) => (await callJobs<JobResult>("result", project, { runId })).data;

const called = (piece: { id?: string; name?: string; arguments: string }) => {
  const { id, ...told } = piece;
  const call = { index: 0, ...(id && { id, type: "function" }), function: told };
  return event({ choices: [{ index: 0, delta: { tool_calls: [call] }, finish_reason: null }] });
};

/** The job's stored events, with their bytes. */
const storedEvents = (runId: string) =>
  runInDurableObject(jobObject(runId), (_, { storage }) =>
    storage.sql
      .exec<{ line: string; aside: string | null; bytes: number }>(
        "SELECT line, aside, octet_length(line) + coalesce(octet_length(aside), 0) AS bytes FROM events ORDER BY seq",
      )
      .toArray(),
  );

const jsonFormat = (schema: object) => ({
  params: { response_format: { type: "json_schema", json_schema: { name: "answer", schema } } },
});

describe("a long answer of a job", () => {
  it("is told whole, longer than the run log holds, to a watcher and in the result", async () => {
    const pieces = Array.from({ length: 1_200 }, (_, at) => `${at}`.padEnd(1_000, "x"));
    using _sent = scriptUpstream(() => events(...pieces.map((piece) => delta(piece)), delta("the end", "stop")));
    const { runId } = await submitJob(project);
    await using watching = await watchJob(project, runId);
    const whole = `${pieces.join("")}the end`;
    expect(textOf(await watching.rest()) === whole).toBe(true);
    const result = await resultOf(runId);
    expect(result).toMatchObject({ status: "succeeded", run: { finishReason: "stop" } });
    expect(result.content === whole).toBe(true);
    expect(result).not.toHaveProperty("answerCut");
  });

  it("takes rows that the platform would store: a tool's arguments of megabytes at once", async () => {
    const piece = "\\u0001".repeat(150_000);
    const pieces = [{ id: "call_1", name: "f", arguments: "" }, ...Array(4).fill({ arguments: piece })];
    using sent = scriptUpstream(() => events(...pieces.map(called), delta("", "tool_calls")));
    const { runId } = await submitJob(project);
    const { status, toolCalls } = await resultOf(runId);
    expect([status, toolCalls.length, sent.length]).toEqual(["succeeded", 1, 1]);
    expect(toolCalls[0]?.arguments === piece.repeat(4)).toBe(true);
    const bytes = (await storedEvents(runId)).map((row) => row.bytes);
    expect(Math.max(...bytes)).toBeLessThan(rowBytes);
  });

  it("is checked whole against its schema; a parsed one too long for an event is in the result", async () => {
    const value = { text: "a".repeat(1_800_000) };
    const json = JSON.stringify(value);
    const pieces = Array.from({ length: 1 + json.length / 100_000 }, (_, at) => json.slice(at * 1e5, (at + 1) * 1e5));
    using _sent = scriptUpstream(() => events(...pieces.map((piece) => delta(piece)), delta("", "stop")));
    const schema = { type: "object", required: ["text"] };
    const { runId } = await submitJob(project, jsonFormat(schema));
    const { output, run } = await resultOf(runId);
    expect(run).toMatchObject({ status: "succeeded", outputValid: true });
    expect(JSON.stringify(output) === json).toBe(true);
    expect(Math.max(...(await storedEvents(runId)).map((row) => row.bytes))).toBeLessThan(rowBytes);
  });
});

it("stores a parsed answer once in the object, and brings it into the run log", async () => {
  using _sent = scriptUpstream(() => events(delta('{"parcel":"A-1"}'), delta("", "stop")));
  const { runId } = await submitJob(project, jsonFormat({ type: "object" }));
  expect(await resultOf(runId)).toMatchObject({ output: { parcel: "A-1" } });
  await expect.poll(() => storedRun(runId)).toMatchObject({ status: "succeeded" });
  const { answer = "{}" } = (await storedContents(runId)) ?? {};
  expect(JSON.parse(answer)).toMatchObject({ output: { parcel: "A-1" } });
  const done = (await storedEvents(runId)).at(-1);
  expect(`${done?.line}${done?.aside}`.split("A-1")).toHaveLength(2);
});

describe("a job whose object cannot write", () => {
  it("for a moment loses no text", async () => {
    const upstream = heldUpstream();
    using _sent = scriptUpstream(() => upstream.answer());
    const write = vi.spyOn(JobLog.prototype, "delta").mockImplementationOnce(() => {
      throw new Error("the disk is busy");
    });
    const { runId } = await submitJob(project);
    upstream.send(delta("Hel"));
    await expect.poll(() => write.mock.calls.length).toBeGreaterThan(0);
    upstream.send(delta("lo"), delta("", "stop"), event("[DONE]"));
    expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "Hello" });
  });

  it("when the answer is whole has failed: an answer with a gap is no success", async () => {
    vi.spyOn(JobLog.prototype, "delta").mockImplementation(() => {
      throw new Error("the disk is full");
    });
    using sent = scriptUpstream(() => events(delta("Hello"), delta("", "stop"), event("[DONE]")));
    const { runId } = await submitJob(project);
    expect(await resultOf(runId)).toMatchObject({
      status: "failed",
      content: null,
      run: { errorCode: "internal", attempts: [{ error: "internal" }] },
    });
    expect(sent).toHaveLength(1);
  });
});

it("ends with its answer, while an upstream that does not close is read on for a moment", async () => {
  const upstream = heldUpstream();
  using _sent = scriptUpstream(() => upstream.answer());
  const leftAtEnd: boolean[] = [];
  const { done } = JobLog.prototype;
  vi.spyOn(JobLog.prototype, "done").mockImplementation(function (this: JobLog, ...given) {
    leftAtEnd.push(upstream.cancelled);
    return done.apply(this, given);
  });
  upstream.send(delta("Hello"), delta("", "stop"), event("[DONE]"));
  const { runId } = await submitJob(project);
  expect(await resultOf(runId)).toMatchObject({ status: "succeeded", content: "Hello" });
  expect(leftAtEnd).toEqual([false]);
  await expect.poll(() => upstream.cancelled).toBe(true);
});
