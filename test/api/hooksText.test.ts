import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { scriptUpstream } from "../support/call.ts";
import { post, stripeHeaders, triggerProject } from "../support/triggers.ts";

const silent = () => new Response(null, { status: 500 });

it.each([
  ["half surrogate pairs", "\\ud800", "\\ud801"],
  ["what follows a NUL", "a\\u0000b", "a\\u0000c"],
])("ids that differ only in %s are two", async (_, one, other) => {
  using __ = scriptUpstream(silent);
  const { id, secret, ended } = await triggerProject({ scheme: "stripe" });
  for (const event of [one, other]) {
    const body = `{"id":"${event}","text":"hi"}`;
    const { status, answer, text } = await post(id, body, await stripeHeaders(secret, body));
    expect(status, text).toBe(202);
    await ended(answer.runId);
  }
});

it("an event whose body holds a NUL is kept whole", async () => {
  using _ = scriptUpstream(silent);
  const { id, secret, ended } = await triggerProject({ scheme: "bearer", variables: { words: { body: true } } });
  const headers = { authorization: `Bearer ${secret}`, "content-type": "text/plain" };
  const { answer } = await post(id, "before\u0000after", headers);
  await ended(answer.runId);
  const kept = await env.DB.prepare("SELECT body FROM events WHERE id = ?").bind(answer.eventId).first("body");
  expect(kept).toBe("before\u0000after");
});

it("a content type is kept of bounded length", async () => {
  using _ = scriptUpstream(silent);
  const { id, secret, ended } = await triggerProject({ scheme: "bearer" });
  const type = `application/json; charset=${"x".repeat(5_000)}`;
  const { answer } = await post(id, '{"text":"hi"}', { authorization: `Bearer ${secret}`, "content-type": type });
  await ended(answer.runId);
  const kept = await env.DB.prepare("SELECT content_type FROM events WHERE id = ?")
    .bind(answer.eventId)
    .first("content_type");
  expect(kept).toBe(type.slice(0, limits.maxContentTypeChars));
});
