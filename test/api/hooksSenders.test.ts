import { describe, expect, it } from "vitest";
import type { TriggerEvent } from "../../src/contract/events.ts";
import { hexOf } from "../../src/core/digest.ts";
import { base64Of, hmac } from "../../src/core/mac.ts";
import { callWeir, delta, event, events, scriptUpstream } from "../support/call.ts";
import {
  answerOf,
  githubHeaders,
  post,
  slackHeaders,
  standardHeaders,
  stripeHeaders,
  triggerProject,
} from "../support/triggers.ts";

const hello = () => events(delta("Hello"), delta("", "stop"), event("[DONE]"));
const utf8 = (text: string) => new TextEncoder().encode(text);
const form = { "content-type": "application/x-www-form-urlencoded" };
const opened = { action: "opened", issue: { number: 7, title: "It broke" } };

/** Posts to a new trigger and waits for its run, if there is one. */
async function received(
  trigger: Record<string, unknown>,
  body: string,
  headersOf: (secret: string) => Promise<Record<string, string>>,
): Promise<TriggerEvent & { said: unknown }> {
  using sent = scriptUpstream(hello);
  const project = await triggerProject(trigger);
  const { status, text, answer } = await post(project.id, body, await headersOf(project.secret));
  expect(status, text).toBe(202);
  if (answer.runId) await project.ended(answer.runId);
  const [found] = await project.events();
  if (!found) throw new Error("no event");
  return { ...found, said: (sent[0]?.body["messages"] as { content: string }[])?.[0]?.content };
}

describe("GitHub", () => {
  const trigger = {
    scheme: "github",
    filter: "$headers.\"x-github-event\" == 'issues' && action == 'opened'",
    variables: { words: "join('', [to_string(issue.number), ': ', issue.title])" },
  };

  it("has its event mapped by its body and its kind", async () => {
    const body = JSON.stringify(opened);
    const found = await received(trigger, body, (secret) => githubHeaders(secret, body, "d-1"));
    expect(found).toMatchObject({ status: "accepted", senderId: "d-1", said: "Say 7: It broke" });
  });

  it("has it mapped as a form as well", async () => {
    const body = new URLSearchParams({ payload: JSON.stringify(opened) }).toString();
    const headers = async (secret: string) => ({ ...form, ...(await githubHeaders(secret, body)) });
    expect(await received(trigger, body, headers)).toMatchObject({ said: "Say 7: It broke" });
  });

  it("has events that the filter does not match kept as ignored", async () => {
    const body = JSON.stringify({ ...opened, action: "closed" });
    const found = await received(trigger, body, (secret) => githubHeaders(secret, body));
    expect(found).toMatchObject({ status: "ignored", runId: null, error: null });
    const push = await received(trigger, JSON.stringify(opened), (secret) =>
      githubHeaders(secret, JSON.stringify(opened), "d-2", "push"),
    );
    expect(push.status).toBe("ignored");
  });

  it("has its ping ignored, whatever the trigger maps", async () => {
    const body = '{"zen":"Keep it logically awesome."}';
    const headers = (secret: string) => githubHeaders(secret, body, "d-3", "ping");
    expect(await received({ scheme: "github" }, body, headers)).toMatchObject({ status: "ignored" });
  });
});

describe("Slack", () => {
  const challenge = JSON.stringify({ type: "url_verification", token: "t", challenge: "3eZbrw1a" });

  it("has its challenge answered once it is signed, and nothing stored", async () => {
    const { id, secret, events: found } = await triggerProject({ scheme: "slack" });
    const unsigned = await post(id, challenge);
    expect(unsigned.status).toBe(401);
    expect(unsigned.text).not.toContain("3eZbrw1a");
    const answered = await post(id, challenge, await slackHeaders(secret, challenge));
    expect(answered).toMatchObject({ status: 200, answer: { challenge: "3eZbrw1a" } });
    expect(await found()).toEqual([]);
  });

  it("has its events known by their own ids, also when they are sent anew", async () => {
    const body = JSON.stringify({ type: "event_callback", event_id: "Ev1", text: "hi" });
    const found = await received({ scheme: "slack" }, body, (secret) => slackHeaders(secret, body));
    expect(found).toMatchObject({ senderId: "Ev1", said: "Say hi" });
  });

  it("has commands, which are forms", async () => {
    const body = "command=%2Fsay&text=hello+there&trigger_id=1.2";
    const headers = async (secret: string) => ({ ...form, ...(await slackHeaders(secret, body)) });
    expect(await received({ scheme: "slack" }, body, headers)).toMatchObject({
      senderId: null,
      said: "Say hello there",
    });
  });

  it("only has a challenge of its own: another sender's is an event", async () => {
    const found = await received({ variables: { words: "challenge" } }, challenge, (secret) =>
      standardHeaders(secret, challenge),
    );
    expect(found.said).toBe("Say 3eZbrw1a");
  });
});

it("Stripe has its events known by the id in the body", async () => {
  const body = JSON.stringify({ id: "evt_1", type: "charge.failed", text: "hi" });
  const found = await received({ scheme: "stripe" }, body, (secret) => stripeHeaders(secret, body));
  expect(found).toMatchObject({ senderId: "evt_1", said: "Say hi" });
});

it("OpenAI has its events known by their signed id", async () => {
  const body = JSON.stringify({ id: "evt_1", type: "response.completed", text: "hi" });
  const found = await received({ scheme: "openai" }, body, (secret) => standardHeaders(secret, body, { id: "wh_1" }));
  expect(found).toMatchObject({ senderId: "wh_1", said: "Say hi" });
});

describe("a sender with a signature of its own", () => {
  const body = '{"delivery":{"id":17},"text":"hi"}';
  const settings = { header: "X-Shop-Hmac", algorithm: "sha512", encoding: "base64", prefix: "v=" };

  it("is taken by header, algorithm, encoding and prefix, and its id where the trigger says", async () => {
    const trigger = { scheme: "hmac", hmac: settings, eventId: { expression: "delivery.id" } };
    const found = await received(trigger, body, async (secret) => ({
      "x-shop-hmac": `v=${base64Of(await hmac("SHA-512", utf8(secret), [body]))}`,
    }));
    expect(found).toMatchObject({ senderId: "17", said: "Say hi" });
  });

  it("whose id is in a header has its events known by their bodies too, as the header is not signed", async () => {
    using _ = scriptUpstream(hello);
    const hmacHeader = { header: "x-sign" };
    const project = await triggerProject({ scheme: "hmac", hmac: hmacHeader, eventId: { header: "X-Id" } });
    const headers = async (text: string, id: string) => ({
      "x-sign": hexOf(await hmac("SHA-256", utf8(project.secret), [text])),
      "x-id": id,
    });
    const first = await post(project.id, body, await headers(body, "a"));
    expect(first.status).toBe(202);
    await project.ended(first.answer.runId);
    expect((await post(project.id, body, await headers(body, "b"))).answer).toEqual({
      ...first.answer,
      duplicate: true,
    });
    const other = '{"text":"ho"}';
    expect((await post(project.id, other, await headers(other, "a"))).answer).toEqual({
      ...first.answer,
      duplicate: true,
    });
  });
});

it("an id that an expression takes from a header is not signed: the request again, with another one, runs once", async () => {
  using sent = scriptUpstream(hello);
  const project = await triggerProject({
    scheme: "hmac",
    hmac: { header: "x-signature" },
    eventId: { expression: '$headers."x-event-id"' },
  });
  const body = '{"text":"hi"}';
  const signature = hexOf(await hmac("SHA-256", utf8(project.secret), [body]));
  const send = (id: string) => post(project.id, body, { "x-signature": signature, "x-event-id": id });
  const first = await send("1");
  await project.ended(first.answer.runId);
  expect((await send("2")).answer).toEqual({ ...first.answer, duplicate: true });
  expect(sent).toHaveLength(1);
});

describe("a sender with a bearer token", () => {
  it("has text that is no JSON under `text`", async () => {
    const found = await received({ scheme: "bearer" }, "hello\nthere", async (secret) => ({
      authorization: `Bearer ${secret}`,
      "content-type": "text/plain",
    }));
    expect(found).toMatchObject({ said: "Say hello\nthere", senderId: null });
  });

  it("may send the same body again under another id, where the trigger says where that is", async () => {
    using sent = scriptUpstream(hello);
    const project = await triggerProject({ scheme: "bearer", eventId: { header: "Idempotency-Key" } });
    const send = (id: string) =>
      post(project.id, '{"text":"hi"}', { authorization: `Bearer ${project.secret}`, "idempotency-key": id });
    const [first, again, other] = [await send("a"), await send("a"), await send("b")];
    expect([first.status, again.status, other.status]).toEqual([202, 200, 202]);
    for (const { answer } of [first, other]) await project.ended(answer.runId);
    expect(sent).toHaveLength(2);
  });

  it("may have its id found in a header by an expression", async () => {
    using sent = scriptUpstream(hello);
    const project = await triggerProject({ scheme: "bearer", eventId: { expression: '$headers."X-Event-Id"' } });
    for (const id of ["1", "2"]) {
      const headers = { authorization: `Bearer ${project.secret}`, "x-event-id": id };
      const { status, answer } = await post(project.id, '{"text":"hi"}', headers);
      expect(status).toBe(202);
      await project.ended(answer.runId);
    }
    expect(sent).toHaveLength(2);
    expect((await project.events()).map(({ senderId }) => senderId)).toEqual(["2", "1"]);
  });

  it("has its token kept out of the events: no expression may name its header", async () => {
    const project = await triggerProject({ scheme: "bearer" });
    const variables = { words: "join(' ', [text, $headers.authorization])" };
    const { error } = await answerOf(project.key, "triggers.update", { id: project.id, variables });
    expect(error).toMatchObject({ code: "invalid_request", param: "variables.words" });
  });

  it("is not asked for where its token came from", async () => {
    const { id, secret } = await triggerProject({ scheme: "bearer" });
    const { response } = await callWeir(`/hooks/${id}?token=${secret}`, { method: "POST", body: '{"text":"hi"}' });
    expect(response.status).toBe(401);
  });
});
