import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { TriggerEvent } from "../../src/contract/events.ts";
import { newStandardSecret } from "../../src/core/standardWebhooks.ts";
import { delta, event, events, scriptUpstream, storedRun } from "../support/call.ts";
import { failingD1 } from "../support/failingD1.ts";
import { minuteMs, sweepIn } from "../support/sweep.ts";
import {
  answerOf,
  done,
  githubHeaders,
  post,
  slackHeaders,
  standardHeaders,
  stripeHeaders,
  triggerProject,
} from "../support/triggers.ts";

type Project = Awaited<ReturnType<typeof triggerProject>>;

const hello = () => events(delta("Hel"), delta("lo"), delta("", "stop"), event("[DONE]"));
const body = '{"id":"evt_1","event_id":"Ev1","text":"hi"}';
const now = () => Math.floor(Date.now() / 1000);

const rows = async ({ projectId }: Project) =>
  Promise.all(
    ["events", "runs", "jobs"].map((table) =>
      env.DB.prepare(`SELECT count(*) n FROM ${table} WHERE project_id = ?`).bind(projectId).first<number>("n"),
    ),
  );

describe("fault 27: an inbound webhook whose signature is not right", () => {
  let project: Project;
  beforeEach(async () => {
    project = await triggerProject();
  });

  it.each<[string, (secret: string) => Promise<Record<string, string>>]>([
    ["bad", async (secret) => standardHeaders(secret, "another body")],
    ["missing", async (secret) => ({ ...(await standardHeaders(secret, body)), "webhook-signature": "" })],
    ["of another secret", async () => standardHeaders(newStandardSecret(), body)],
    ["of another length", async (secret) => shortened(await standardHeaders(secret, body))],
    ["of the version v1a", async (secret) => versioned(await standardHeaders(secret, body), "v1a,")],
    ["skewed to the past", async (secret) => standardHeaders(secret, body, { timestamp: now() - 302 })],
    ["skewed to the future", async (secret) => standardHeaders(secret, body, { timestamp: now() + 302 })],
    ["at 123abc", async (secret) => ({ ...(await standardHeaders(secret, body)), "webhook-timestamp": `${now()}abc` })],
  ])("%s: 401, and nothing is stored", async (_, headers) => {
    const { status } = await post(project.id, body, await headers(project.secret));
    expect(status).toBe(401);
    expect(await rows(project)).toEqual([0, 0, 0]);
  });

  it("one right among several: it runs", async () => {
    using _ = scriptUpstream(hello);
    const right = await standardHeaders(project.secret, body);
    const several = `v1,${"A".repeat(43)}= v1a,abc ${right["webhook-signature"]}`;
    const { status, answer } = await post(project.id, body, { ...right, "webhook-signature": several });
    expect(status).toBe(202);
    expect(await project.ended(answer.runId)).toMatchObject({ status: "succeeded" });
  });
});

describe("fault 27: an inbound webhook that comes again", () => {
  const again: [string, string, (secret: string) => Promise<Record<string, string>>][] = [
    ["standard: the same id", "standard", (secret) => standardHeaders(secret, body)],
    ["openai: the same id", "openai", (secret) => standardHeaders(secret, body)],
    ["github: the same body with a new id", "github", (secret) => githubHeaders(secret, body)],
    ["github: the same id", "github", (secret) => githubHeaders(secret, body, "d2c0f1de-0000-0000-0000-000000000000")],
    ["stripe: the same event", "stripe", (secret) => stripeHeaders(secret, body)],
    ["slack: the same event", "slack", (secret) => slackHeaders(secret, body)],
    ["bearer: the same body", "bearer", async (secret) => ({ authorization: `Bearer ${secret}` })],
  ];

  it.each(again)("%s: 200 with the first run's id, and one run", async (_, scheme, headersOf) => {
    using sent = scriptUpstream(hello);
    const project = await triggerProject({ scheme });
    const first = await post(project.id, body, await headersOf(project.secret));
    const second = await post(project.id, body, await headersOf(project.secret));
    expect([first.status, second.status]).toEqual([202, 200]);
    expect(second.answer).toEqual({ ...first.answer, duplicate: true });
    expect(await project.ended(first.answer.runId)).toMatchObject({ status: "succeeded" });
    expect(await rows(project)).toEqual([1, 1, 1]);
    expect(sent).toHaveLength(1);
  });

  it("20 times at once: one run, one call of the upstream, 20 answers with its id", async () => {
    using sent = scriptUpstream(hello);
    const project = await triggerProject();
    const headers = await standardHeaders(project.secret, body);
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(project.id, body, headers)));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(19).fill(200), 202]);
    expect(new Set(answers.map(({ answer }) => answer.runId)).size).toBe(1);
    expect(await project.ended(answers[0]?.answer.runId ?? null)).toMatchObject({ status: "succeeded" });
    expect(await rows(project)).toEqual([1, 1, 1]);
    expect(sent).toHaveLength(1);
  });

  it("signed anew with another time, as a sender's next attempt is", async () => {
    using _ = scriptUpstream(hello);
    const project = await triggerProject();
    const first = await post(project.id, body, await standardHeaders(project.secret, body, { timestamp: now() - 100 }));
    const second = await post(project.id, body, await standardHeaders(project.secret, body));
    expect(second.answer).toEqual({ ...first.answer, duplicate: true });
    await project.ended(first.answer.runId);
    expect(await rows(project)).toEqual([1, 1, 1]);
  });

  it("to another trigger is another event", async () => {
    using _ = scriptUpstream(hello);
    const [one, other] = [await triggerProject(), await triggerProject()];
    for (const project of [one, other]) {
      const { status, answer } = await post(project.id, body, await standardHeaders(project.secret, body));
      expect(status).toBe(202);
      expect(await project.ended(answer.runId)).toMatchObject({ status: "succeeded" });
    }
  });

  it.each(["before", "after commit"] as const)("after a call of the database failed, %s: one run", async (when) => {
    using sent = scriptUpstream(hello);
    const project = await triggerProject();
    const ids: string[] = [];
    for (let at = 1; ; at += 1) {
      const id = `msg_${at}`;
      const headers = await standardHeaders(project.secret, body, { id });
      const failing = failingD1(env.DB, { fails: (call) => call === at, when });
      const first = await post(project.id, body, headers, { DB: failing });
      if (failing.counted.failed === 0) {
        ids.push(first.answer.runId ?? "");
        break;
      }
      expect(first.status).toBe(503);
      const second = await post(project.id, body, headers);
      expect(second).toMatchObject({ answer: { status: "accepted", runId: expect.any(String) } });
      ids.push(second.answer.runId ?? "");
    }
    await sweepIn(2 * minuteMs);
    for (const runId of ids) expect(await project.ended(runId)).toMatchObject({ content: "Hello" });
    const all = ids.length;
    expect(all).toBeGreaterThan(1);
    expect(sent).toHaveLength(all);
    expect(await rows(project)).toEqual([all, all, all]);
  });

  it("whose job was never started: the sweeper starts it", async () => {
    using sent = scriptUpstream(hello);
    const project = await triggerProject();
    const away = { idFromName: () => ({}), get: () => ({ start: () => Promise.reject(new Error("away")) }) };
    const headers = await standardHeaders(project.secret, body);
    const { status, answer } = await post(project.id, body, headers, { JOBS: away as never });
    expect(status).toBe(202);
    expect(await storedRun(answer.runId)).toMatchObject({ status: "queued" });
    await sweepIn(2 * minuteMs);
    expect(await project.ended(answer.runId)).toMatchObject({ status: "succeeded", content: "Hello" });
    expect(sent).toHaveLength(1);
  });
});

describe("fault 28: an event that cannot be mapped", () => {
  const broken = { variables: { words: "abs(text)" } };

  it("is kept with its expression and reason, and answered with 202", async () => {
    const project = await triggerProject(broken);
    const { status, answer } = await post(project.id, body, await standardHeaders(project.secret, body));
    expect(status).toBe(202);
    expect(answer).toMatchObject({ runId: null, status: "failed", duplicate: false });
    expect(await project.events()).toMatchObject([
      {
        id: answer.eventId,
        status: "failed",
        error: { code: "invalid_request", param: "variables.words", expression: "abs(text)" },
        hasPayload: true,
      },
    ]);
    expect(await rows(project)).toEqual([1, 0, 0]);
  });

  it("runs after the fix, once, also when it is replayed by many at once", async () => {
    using sent = scriptUpstream(hello);
    const project = await triggerProject(broken);
    const { answer } = await post(project.id, body, await standardHeaders(project.secret, body));
    const { eventId } = answer;
    expect(await done<TriggerEvent>(project.key, "triggers.replay", { eventId })).toMatchObject({ status: "failed" });
    await done(project.key, "triggers.update", { id: project.id, variables: { words: "text" } });
    const replays = await Promise.all(
      Array.from({ length: 5 }, () => answerOf(project.key, "triggers.replay", { eventId })),
    );
    const [replayed, ...others] = replays
      .filter(({ status }) => status === 200)
      .map(({ data }) => data as TriggerEvent);
    expect(others).toEqual([]);
    expect(replayed).toMatchObject({ id: eventId, status: "accepted", error: null });
    expect(replays.filter(({ error }) => error?.code === "conflict")).toHaveLength(4);
    expect(await project.ended(replayed?.runId ?? null)).toMatchObject({ status: "succeeded", content: "Hello" });
    expect(sent.map((call) => call.body["messages"])).toEqual([[{ role: "user", content: "Say hi" }]]);
    expect(await rows(project)).toEqual([1, 1, 1]);
  });

  it("and is sent again by its sender is known, and stays as it is", async () => {
    const project = await triggerProject(broken);
    const headers = await standardHeaders(project.secret, body);
    const first = await post(project.id, body, headers);
    const second = await post(project.id, body, headers);
    expect(second).toMatchObject({ status: 200, answer: { ...first.answer, duplicate: true } });
    expect(await rows(project)).toEqual([1, 0, 0]);
  });

  it("has its one run, however often it is replayed then", async () => {
    using _ = scriptUpstream(hello);
    const project = await triggerProject(broken);
    const { answer } = await post(project.id, body, await standardHeaders(project.secret, body));
    await done(project.key, "triggers.update", { id: project.id, variables: { words: "text" } });
    const { eventId } = answer;
    const { runId } = await done<TriggerEvent>(project.key, "triggers.replay", { eventId });
    const second = await answerOf(project.key, "triggers.replay", { eventId });
    expect(second.error).toMatchObject({ code: "conflict", details: { runId } });
    await vi.waitUntil(async () => (await storedRun(runId))?.["status"] === "succeeded");
    expect(await rows(project)).toEqual([1, 1, 1]);
  });
});

function versioned(headers: Record<string, string>, version: string) {
  return { ...headers, "webhook-signature": headers["webhook-signature"]?.replace("v1,", version) ?? "" };
}

function shortened(headers: Record<string, string>) {
  return { ...headers, "webhook-signature": headers["webhook-signature"]?.slice(0, -5) ?? "" };
}
