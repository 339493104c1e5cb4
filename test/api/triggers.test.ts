import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import type { Page } from "../../src/contract/paging.ts";
import { Trigger, type TriggerWithSecret } from "../../src/contract/triggers.ts";
import { delta, event, events, scriptUpstream } from "../support/call.ts";
import { laterBy } from "../support/sweep.ts";
import { answerOf, done, post, standardHeaders, triggerProject } from "../support/triggers.ts";

type Project = Awaited<ReturnType<typeof triggerProject>>;
type TriggerShown = ReturnType<typeof Trigger.parse>;

const hello = () => events(delta("Hello"), delta("", "stop"), event("[DONE]"));
const wanted = { name: "hook", scheme: "github", template: "say", variables: { words: "text" } };
const rowOf = (id: string) => env.DB.prepare("SELECT * FROM triggers WHERE id = ?").bind(id).first();

let project: Project;
beforeEach(async () => {
  project = await triggerProject();
});

const create = (more: object = {}) => done<TriggerWithSecret>(project.key, "triggers.create", { ...wanted, ...more });
const refusal = async (path: string, input: object) => (await answerOf(project.key, path, input)).error;

describe("a trigger's secret", () => {
  it("is made by the scheme's rules, shown once, and kept encrypted", async () => {
    const { status, data, text } = await answerOf(project.key, "triggers.create", { ...wanted, scheme: "standard" });
    expect(status).toBe(200);
    const { trigger, secret } = data as TriggerWithSecret;
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(Trigger.strict().parse(trigger)).toMatchObject({
      path: `/hooks/${trigger.id}`,
      secretHint: `…${secret.slice(-4)}`,
      previousSecretUntil: null,
      version: null,
      respond: "async",
      archived: false,
    });
    expect(text.split(secret)).toHaveLength(2);
    const shown = JSON.stringify([
      await done(project.key, "triggers.list", {}),
      await done(project.key, "triggers.get", { id: trigger.id }),
      await done(project.key, "triggers.update", { id: trigger.id, name: "other" }),
      await rowOf(trigger.id),
    ]);
    expect(shown).not.toContain(secret);
    expect(shown).not.toContain(secret.slice("whsec_".length));
    expect(await rowOf(trigger.id)).toMatchObject({ sealed_secret: expect.stringMatching(/^v1\./) });
  });

  it("may be the sender's own, of the scheme's shape", async () => {
    expect((await create({ scheme: "slack", secret: "8f742231b10e8888abcd99yyyzzz85a5" })).secret).toHaveLength(32);
    for (const [scheme, secret] of [
      ["standard", "no-prefix-at-all"],
      ["openai", "whsec_***"],
      ["github", "short"],
    ])
      expect(await refusal("triggers.create", { ...wanted, scheme, secret })).toMatchObject({ param: "secret" });
    expect(await refusal("triggers.create", { ...wanted, secret: "with a space" })).toMatchObject({ param: "secret" });
  });

  it("is of no use in another trigger's row", async () => {
    const other = await create({ scheme: "standard" });
    await env.DB.prepare(
      "UPDATE triggers SET sealed_secret = (SELECT sealed_secret FROM triggers WHERE id = ?) WHERE id = ?",
    )
      .bind(project.id, other.trigger.id)
      .run();
    const body = '{"text":"hi"}';
    const { status } = await post(other.trigger.id, body, await standardHeaders(project.secret, body));
    expect(status).toBe(503);
  });
});

describe("rotating a secret", () => {
  const body = '{"text":"hi"}';
  let at = 0;
  const statusWith = async (secret: string) => {
    const { status, answer } = await post(project.id, body, await standardHeaders(secret, body, { id: `msg_${at++}` }));
    if (status === 202) await project.ended(answer.runId);
    return status;
  };

  it("takes both for the overlap, and then the new one alone; any before them no more", async () => {
    using _ = scriptUpstream(hello);
    expect(await statusWith(project.secret)).toBe(202);
    const input = { id: project.id, overlapSeconds: 60 };
    const second = await done<TriggerWithSecret>(project.key, "triggers.rotateSecret", input);
    const until = Date.parse(second.trigger.previousSecretUntil ?? "");
    expect(until - Date.now()).toBeGreaterThan(50_000);
    expect(await statusWith(project.secret)).toBe(202);
    expect(await statusWith(second.secret)).toBe(202);
    await laterBy(61_000, async () => {
      expect(await statusWith(project.secret)).toBe(401);
      expect(await statusWith(second.secret)).toBe(202);
    });
    const third = await done<TriggerWithSecret>(project.key, "triggers.rotateSecret", input);
    expect(await statusWith(project.secret)).toBe(401);
    expect(await statusWith(second.secret)).toBe(202);
    expect(await statusWith(third.secret)).toBe(202);
  });

  it("without an overlap ends the old one at once, also for one that the sender made", async () => {
    using _ = scriptUpstream(hello);
    const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const rotated = await done<TriggerWithSecret>(project.key, "triggers.rotateSecret", {
      id: project.id,
      secret,
      overlapSeconds: 0,
    });
    expect(rotated).toMatchObject({ secret, trigger: { secretHint: "…LaSw" } });
    expect(await statusWith(project.secret)).toBe(401);
    expect(await statusWith(secret)).toBe(202);
    expect(await refusal("triggers.rotateSecret", { id: project.id, secret: "nonsense" })).toMatchObject({
      param: "secret",
    });
  });
});

describe("a mapping is checked when it is saved", () => {
  it.each([
    [{ variables: { words: "text[" } }, "variables.words"],
    [{ variables: { words: { expression: "nothing(@)" } } }, "variables.words"],
    [{ filter: "a ==" }, "filter"],
    [{ metadata: { issue: "[" } }, "metadata.issue"],
    [{ metadata: { event: "id" } }, "metadata"],
    [{ variables: { words: "text", more: "text" } }, "variables.more"],
    [{ variables: {} }, "variables.words"],
    [{ eventId: { header: "x-id" } }, "eventId"],
    [{ scheme: "bearer", eventId: { expression: "[" } }, "eventId"],
    [{ scheme: "hmac" }, "hmac"],
    [{ hmac: { header: "x-sign" } }, "hmac"],
    [{ priority: 1_000 }, "priority"],
    [{ params: { temperature: 9 } }, "params.temperature"],
    [{ params: { nonsense: 1 } }, "params.nonsense"],
    [{ requestsPerMinute: 61 }, "requestsPerMinute"],
    [{ template: "nowhere" }, "template"],
    [{ version: "staging" }, "version"],
    [{ version: 7 }, "version"],
  ])("%j is refused by the name of %s", async (more, param) => {
    expect(await refusal("triggers.create", { ...wanted, ...more })).toMatchObject({ param });
  });

  it("and when it is changed", async () => {
    const { id } = project;
    expect(await refusal("triggers.update", { id, variables: { words: "[" } })).toMatchObject({
      param: "variables.words",
    });
    expect(await refusal("triggers.update", { id, filter: "(" })).toMatchObject({ param: "filter" });
    expect(await refusal("triggers.update", { id, metadata: { n: "(" } })).toMatchObject({ param: "metadata.n" });
    expect(await refusal("triggers.update", { id, template: "nowhere" })).toMatchObject({ code: "not_found" });
    expect(await done<Trigger>(project.key, "triggers.get", { id })).toEqual(project.trigger);
  });
});

describe("changing a trigger", () => {
  it("keeps what is left out, and takes what is null back", async () => {
    const { trigger } = await create({
      version: 1,
      filter: "a",
      model: "m",
      metadata: { issue: "number" },
      params: { seed: 1 },
      requestsPerMinute: 60,
    });
    const { id } = trigger;
    const changed = await done<Trigger>(project.key, "triggers.update", { id, name: "other", priority: 3 });
    expect(changed).toEqual({ ...trigger, name: "other", priority: 3, updatedAt: changed.updatedAt });
    const back = { version: null, filter: null, model: null, params: {}, metadata: {}, requestsPerMinute: null };
    const cleared = await done<Trigger>(project.key, "triggers.update", { id, ...back });
    expect(cleared).toEqual({ ...changed, ...back, updatedAt: cleared.updatedAt });
    expect(cleared.updatedAt > changed.updatedAt).toBe(true);
  });

  it("holds for the next event at once", async () => {
    using sent = scriptUpstream(hello);
    const body = '{"text":"hi","other":"ho"}';
    const first = await post(project.id, body, await standardHeaders(project.secret, body, { id: "a" }));
    await done(project.key, "triggers.update", { id: project.id, variables: { words: "other" } });
    const second = await post(project.id, body, await standardHeaders(project.secret, body, { id: "b" }));
    for (const { answer } of [first, second]) await project.ended(answer.runId);
    const said = sent.map((call) => (call.body["messages"] as { content: string }[])[0]?.content);
    expect(said.sort()).toEqual(["Say hi", "Say ho"]);
  });

  it("that is archived is a conflict; archiving again is none", async () => {
    const { id } = project;
    const archived = await done<Trigger>(project.key, "triggers.archive", { id });
    expect(archived.archived).toBe(true);
    expect(await done(project.key, "triggers.archive", { id })).toEqual(archived);
    expect(await rowOf(id)).toMatchObject({ sealed_secret: null, sealed_previous: null });
    expect(await refusal("triggers.update", { id, name: "x" })).toMatchObject({ code: "conflict" });
    expect(await refusal("triggers.rotateSecret", { id })).toMatchObject({ code: "conflict" });
  });
});

it("triggers are listed newest first, archived ones apart, by pages", async () => {
  const made = [];
  for (let at = 0; at < 3; at += 1) made.unshift((await create({ name: `n${at}` })).trigger.id);
  const [last = "", ...others] = made;
  await done(project.key, "triggers.archive", { id: last });
  const list = (input: object) => done<Page<TriggerShown>>(project.key, "triggers.list", input);
  const first = await list({ limit: 2 });
  expect(first.items.map(({ id }) => id)).toEqual(others);
  const rest = await list({ limit: 2, cursor: first.nextCursor });
  expect(rest).toMatchObject({ items: [{ id: project.id }], nextCursor: null });
  expect((await list({ archived: true })).items.map(({ id }) => id)).toEqual([last]);
});

it("a project has so many active triggers and no more, also when several are made at once", async () => {
  const columns = Object.keys((await rowOf(project.id)) ?? {}).filter((name) => name !== "id");
  await env.DB.prepare(
    `WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?2)
     INSERT INTO triggers (id, ${columns}) SELECT triggers.id || n, ${columns} FROM triggers, n WHERE triggers.id = ?1`,
  )
    .bind(project.id, limits.maxTriggers - 2)
    .run();
  const made = await Promise.all(
    Array.from({ length: 3 }, () => answerOf(project.key, "triggers.create", { ...wanted, version: 1 })),
  );
  expect(made.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
  const { items } = await done<Page<TriggerShown>>(project.key, "triggers.list", { limit: 1 });
  const { id } = items[0] ?? { id: "" };
  expect(await rowOf(id)).toMatchObject({ version: "1", callback: null, filter: null, archived_at: null });
  await done(project.key, "triggers.archive", { id });
  await create();
});
