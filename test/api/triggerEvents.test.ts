import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import type { TriggerEvent, TriggerPreview } from "../../src/contract/events.ts";
import { limits } from "../../src/contract/limits.ts";
import type { Page } from "../../src/contract/paging.ts";
import { delta, event, events, scriptUpstream, storedRun } from "../support/call.ts";
import { dayMs, sweepIn } from "../support/sweep.ts";
import { answerOf, done, githubHeaders, post, standardHeaders, triggerProject } from "../support/triggers.ts";

const hello = () => events(delta("Hello"), delta("", "stop"), event("[DONE]"));
type Project = Awaited<ReturnType<typeof triggerProject>>;

async function send({ id, secret, ended }: Project, body: string, message = "msg_1") {
  const { answer } = await post(id, body, await standardHeaders(secret, body, { id: message }));
  if (answer.runId) await ended(answer.runId);
  return answer;
}

const rowOf = (eventId: string) => env.DB.prepare("SELECT * FROM events WHERE id = ?").bind(eventId).first();

describe("a preview", () => {
  const preview = (project: Project, input: object) =>
    done<TriggerPreview>(project.key, "triggers.preview", { id: project.id, ...input });

  it("shows what a sample comes to, also behind a filter that ignores it, and runs nothing", async () => {
    using sent = scriptUpstream(hello);
    const project = await triggerProject({ filter: "kind == 'a'", metadata: { kind: "kind" } });
    expect(await preview(project, { sample: { body: { kind: "a", text: "hi {{x}}" } } })).toEqual({
      payload: { kind: "a", text: "hi {{x}}" },
      headers: {},
      ignored: false,
      variables: { words: "hi {{x}}" },
      metadata: { kind: "a" },
      cut: [],
      messages: [{ role: "user", content: "Say hi {{x}}" }],
      error: null,
    });
    expect(await preview(project, { sample: { body: "just text" } })).toMatchObject({
      payload: { text: "just text" },
      ignored: true,
      variables: { words: "just text" },
      messages: [{ role: "user", content: "Say just text" }],
    });
    expect(sent).toHaveLength(0);
    expect(await project.events()).toEqual([]);
  });

  it("takes other settings than the trigger's, and headers by any case", async () => {
    const project = await triggerProject();
    const content = { messages: [{ role: "user", content: "Shout {{words}}" }], model: "test-model" };
    await done(project.key, "templates.save", { name: "say", content });
    const sample = { body: "a=1&a=2", headers: { "Content-Type": "application/x-www-form-urlencoded", "X-Kind": "k" } };
    const variables = { words: { expression: "join('-', [a[0], a[1], $headers.\"x-kind\"])", maxChars: 4 } };
    const metadata = { first: "a[0]" };
    expect(await preview(project, { sample, variables, metadata, version: 2, filter: "!a" })).toMatchObject({
      ignored: true,
      metadata: { first: "1" },
      variables: { words: "1-2-" },
      cut: ["words"],
      messages: [{ role: "user", content: "Shout 1-2-" }],
    });
    expect(await done(project.key, "triggers.get", { id: project.id })).toEqual(project.trigger);
  });

  it("tells what is at fault with the sample, and refuses what is at fault with the settings", async () => {
    const project = await triggerProject();
    expect(await preview(project, { sample: { body: {} } })).toMatchObject({
      variables: {},
      messages: null,
      error: { code: "invalid_request", param: "variables.words", expression: null },
    });
    const fault = await preview(project, { sample: { body: { text: 1 } }, variables: { words: "upper(text)" } });
    expect(fault.error).toMatchObject({ param: "variables.words", expression: "upper(text)" });
    const wrong = { id: project.id, sample: { body: {} }, variables: { words: "[" } };
    expect((await answerOf(project.key, "triggers.preview", wrong)).error).toMatchObject({ param: "variables.words" });
    const none = await answerOf(project.key, "triggers.preview", { id: project.id });
    expect(none.error).toMatchObject({ param: "sample" });
  });

  it("shows what a stored event comes to, with the headers that were kept", async () => {
    using _ = scriptUpstream(hello);
    const project = await triggerProject({ scheme: "github" });
    const body = '{"text":"hi"}';
    const headers = { ...(await githubHeaders(project.secret, body, "d-1")), "x-other": "o", cookie: "c=1" };
    const { answer } = await post(project.id, body, headers);
    await project.ended(answer.runId);
    const variables = { words: { header: "x-github-event" } };
    expect(await preview(project, { eventId: answer.eventId, variables })).toMatchObject({
      payload: { text: "hi" },
      headers: { "x-github-event": "issues", "x-github-delivery": "d-1" },
      variables: { words: "issues" },
    });
    const stored = JSON.stringify(await rowOf(answer.eventId));
    for (const secret of ["sha256=", "c=1", "x-other"]) expect(stored).not.toContain(secret);
    const other = await triggerProject();
    const foreign = await answerOf(project.key, "triggers.preview", { id: other.id, eventId: answer.eventId });
    expect(foreign.error).toMatchObject({ code: "not_found" });
  });

  it("takes a sample that is too long for an address", async () => {
    const project = await triggerProject();
    const { cut } = await preview(project, { sample: { body: { text: "x".repeat(100_000) } } });
    expect(cut).toEqual(["words"]);
  });
});

describe("the events of a trigger", () => {
  it("are listed newest first, by pages and by status", async () => {
    using _ = scriptUpstream(hello);
    const project = await triggerProject({ filter: "kind != 'x'" });
    const bodies = ['{"text":"a"}', '{"kind":"x"}', "{}", '{"text":"b"}', '{"kind":"x","n":2}'];
    const ids: string[] = [];
    for (const [at, body] of bodies.entries()) ids.unshift((await send(project, body, `msg_${at}`)).eventId);
    const list = (input: object) =>
      done<Page<TriggerEvent>>(project.key, "triggers.events", { triggerId: project.id, ...input });
    const first = await list({ limit: 3 });
    expect(first.items.map(({ id }) => id)).toEqual(ids.slice(0, 3));
    const rest = await list({ limit: 3, cursor: first.nextCursor });
    expect(rest.items.map(({ id }) => id)).toEqual(ids.slice(3));
    expect(rest.nextCursor).toBeNull();
    const statuses = await Promise.all(
      ["accepted", "ignored", "failed"].map(async (status) => (await list({ status })).items.map(({ id }) => id)),
    );
    expect(statuses).toEqual([[ids[1], ids[4]], [ids[0], ids[3]], [ids[2]]]);
  });

  it("that were ignored can be replayed under another filter", async () => {
    using sent = scriptUpstream(hello);
    const project = await triggerProject({ filter: "kind" });
    const { eventId } = await send(project, '{"text":"hi"}');
    await done(project.key, "triggers.update", { id: project.id, filter: null });
    const replayed = await done<TriggerEvent>(project.key, "triggers.replay", { eventId });
    expect(replayed.status).toBe("accepted");
    await project.ended(replayed.runId);
    expect(sent).toHaveLength(1);
  });

  it("of an archived trigger stay, and are not replayed", async () => {
    const project = await triggerProject();
    const { eventId } = await send(project, "{}");
    await done(project.key, "triggers.archive", { id: project.id });
    expect(await project.events()).toHaveLength(1);
    expect((await answerOf(project.key, "triggers.replay", { eventId })).error).toMatchObject({ code: "conflict" });
  });
});

describe("the payload of an event", () => {
  it("is dropped by the sweeper with the project's retention, and the event is known on", async () => {
    using _ = scriptUpstream(hello);
    const project = await triggerProject({}, { retentionDays: 7 });
    const failed = await send(project, "{}", "msg_a");
    const accepted = await send(project, '{"text":"hi"}', "msg_b");
    await sweepIn(6 * dayMs);
    expect((await project.events()).map(({ hasPayload }) => hasPayload)).toEqual([true, true]);
    await sweepIn(8 * dayMs);
    expect((await project.events()).map(({ hasPayload }) => hasPayload)).toEqual([false, false]);
    for (const { eventId } of [failed, accepted])
      expect(await rowOf(eventId)).toMatchObject({ body: null, headers: null, content_type: null, expires_at: null });
    const replay = await answerOf(project.key, "triggers.replay", { eventId: failed.eventId });
    expect(replay.error).toMatchObject({ code: "conflict" });
    const preview = { id: project.id, eventId: accepted.eventId };
    expect((await answerOf(project.key, "triggers.preview", preview)).error).toMatchObject({ code: "conflict" });
    expect(await send(project, "{}", "msg_a")).toEqual({ ...failed, duplicate: true });
  });

  it("is kept for ever where the project sets no days", async () => {
    const project = await triggerProject();
    await send(project, "{}");
    await sweepIn(4_000 * dayMs);
    expect(await project.events()).toMatchObject([{ hasPayload: true }]);
  });

  it("is dropped with its run, and not with one that only repeats that", async () => {
    using _ = scriptUpstream(hello);
    const project = await triggerProject();
    const { runId, eventId } = await send(project, '{"text":"hi"}');
    const other = await send(project, '{"text":"ho"}', "msg_2");
    const { runId: again } = await done<{ runId: string }>(project.key, "jobs.retry", { runId });
    await project.ended(again);
    await vi.waitUntil(async () => (await storedRun(again))?.["status"] === "succeeded");
    await done(project.key, "runs.delete", { id: again });
    expect((await project.events()).map(({ hasPayload }) => hasPayload)).toEqual([true, true]);
    await vi.waitUntil(async () => (await storedRun(runId))?.["status"] === "succeeded");
    await done(project.key, "runs.delete", { id: runId });
    expect(await rowOf(eventId)).toMatchObject({ body: null, headers: null, run_id: runId });
    expect(await rowOf(other.eventId)).toMatchObject({ body: '{"text":"ho"}' });
  });

  it("is not kept where the project keeps no contents, but for the replay of one that failed", async () => {
    using _ = scriptUpstream(hello);
    const project = await triggerProject({}, { keepContents: false });
    const accepted = await send(project, '{"text":"hi"}', "msg_a");
    expect(await rowOf(accepted.eventId)).toMatchObject({ body: null, headers: null, expires_at: null });
    const failed = await send(project, '{"other":"ho"}', "msg_b");
    expect(await rowOf(failed.eventId)).toMatchObject({ body: '{"other":"ho"}' });
    await done(project.key, "triggers.update", { id: project.id, variables: { words: "other" } });
    const { runId } = await done<TriggerEvent>(project.key, "triggers.replay", { eventId: failed.eventId });
    await project.ended(runId);
    expect(await rowOf(failed.eventId)).toMatchObject({ status: "accepted", body: null, headers: null });
    const again = await send(project, '{"n":1}', "msg_c");
    await sweepIn(limits.failedPayloadMs + 1_000);
    expect(await rowOf(again.eventId)).toMatchObject({ status: "failed", body: null });
  });
});
