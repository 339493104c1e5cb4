import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { EndpointWithSecret } from "../../src/contract/endpoints.ts";
import type { BatchTicket } from "../../src/contract/jobBatches.ts";
import type { Page } from "../../src/contract/paging.ts";
import type { TriggerWithSecret } from "../../src/contract/triggers.ts";
import { database } from "../../src/store/db.ts";
import { openRun, settleRun } from "../../src/store/runs.ts";
import { storedRun } from "../support/call.ts";
import { callProcedure, type DeclaredProcedure, declaredProcedures } from "../support/door.ts";
import { content, duties, mark, nobodys, type Things } from "../support/duties.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";
import { anOutcome, aStart, someContents } from "../support/runRecords.ts";
import { post } from "../support/triggers.ts";

let owner: TestKey;
let stranger: TestKey;
let owned: Things;

const find = (path: string): DeclaredProcedure => {
  const procedure = declaredProcedures.find((declared) => declared.path === path);
  if (!procedure) throw new Error(`no procedure ${path}`);
  return procedure;
};
const call = (path: string, key: TestKey, input: unknown) => callProcedure(find(path), { secret: key.secret, input });

async function done(path: string, key: TestKey, input: unknown): Promise<unknown> {
  const answer = await call(path, key, input);
  expect(answer.status, `${path}: ${answer.text}`).toBe(200);
  return (answer.body as { result: { data: unknown } }).result.data;
}

/** Text of an answer with the request's id and the things that the caller itself named taken out. */
function comparable(text: string, things: Things): string {
  let rest = text.replaceAll(/"requestId":"[^"]*"/g, "");
  for (const [field, value] of Object.entries(things)) rest = rest.replaceAll(value, field);
  return rest;
}

/** A run of the owner's with the mark in its model, metadata and texts. */
async function insertRun(template: string, settled: boolean): Promise<string> {
  const { projectId, keyId } = owner.principal;
  const start = aStart({
    projectId,
    keyId,
    createdAtMs: Date.now(),
    template: { id: "tpl_1", name: template, version: 1, versionId: "ver_1", label: "production", partials: [] },
    modelAsked: `${mark}/model`,
    metadata: { team: mark },
  });
  const db = database(env.DB);
  await openRun(db)(start, "running");
  if (settled) await settleRun(db)(start, anOutcome(), someContents({ content: mark }));
  return start.id;
}

/** A job of the owner's with the mark in its question. */
async function finishedJob(): Promise<string> {
  const messages = [{ role: "user", content: mark }];
  const { runId } = (await done("jobs.submit", owner, { model: "sim/echo", messages })) as { runId: string };
  await done("jobs.result", owner, { runId });
  await vi.waitUntil(async () => (await storedRun(runId))?.["status"] === "succeeded");
  return runId;
}

async function finishedBatch(): Promise<string> {
  const batch = { model: "sim/echo", messages: [{ role: "user", content: mark }], items: [{ key: mark }] };
  const { batchId, runIds } = (await done("jobs.submitBatch", owner, batch)) as BatchTicket;
  await vi.waitUntil(async () => (await storedRun(runIds[0] ?? null))?.["status"] === "succeeded");
  return batchId;
}

/** Two triggers of the owner's, and an event with the mark in it that comes to no run. */
async function failedEvent(template: string): Promise<Pick<Things, "triggerId" | "eventId">> {
  const wanted = { name: mark, scheme: "bearer", template, variables: { name: { expression: "abs(@)" } } };
  await done("triggers.create", owner, wanted);
  const { trigger, secret } = (await done("triggers.create", owner, wanted)) as TriggerWithSecret;
  const { answer } = await post(trigger.id, mark, { authorization: `Bearer ${secret}` });
  expect(answer.status).toBe("failed");
  return { triggerId: trigger.id, eventId: answer.eventId };
}

/** An endpoint of the owner's with a message that waits. */
async function waitingDelivery(): Promise<{ endpointId: string; deliveryId: string }> {
  const endpoint = { url: `https://${mark}.test/`, description: mark, events: ["run.succeeded"] };
  const made = (await done("endpoints.create", owner, endpoint)) as EndpointWithSecret;
  const { id: endpointId } = made.endpoint;
  await done("endpoints.update", owner, { id: endpointId, enabled: false });
  await finishedJob();
  const list = async () => (await done("endpoints.deliveries.list", owner, { endpointId })) as Page<{ id: string }>;
  await vi.waitUntil(async () => (await list()).items.length === 1);
  return { endpointId, deliveryId: (await list()).items[0]?.id ?? "" };
}

beforeAll(async () => {
  owner = await insertTestProject();
  stranger = await insertTestProject();
  const names = { template: `${mark}/greeting`, snippet: `${mark}/snippet`, archived: `${mark}/archived` };
  await done("templates.create", owner, { name: names.template, content });
  await done("templates.save", owner, { name: names.template, content: { ...content, model: "sim/reasoning" } });
  await done("templates.create", owner, { name: names.snippet, content: { text: mark } });
  await done("templates.create", owner, { name: names.archived, content });
  await done("templates.archive", owner, { name: names.archived });
  await done("templates.create", stranger, {
    name: "mine",
    content: { messages: [{ role: "user", content: "hello" }] },
  });
  const price = { inputMicrosPerMillion: 1, outputMicrosPerMillion: 1, currency: "CNY" };
  await done("models.setPrice", owner, { model: `${mark}/model`, price });
  const upstream = { name: mark, baseUrl: `https://${mark}.test/v1`, apiKey: mark, models: { [`${mark}-m`]: "m" } };
  const { id: upstreamId } = (await done("upstreams.create", owner, upstream)) as { id: string };
  await done("upstreams.create", owner, { ...upstream, name: `${mark}-2` });
  const spare = await insertTestKey(owner.principal.projectId, { name: mark });
  owned = {
    template: names.template,
    snippet: names.snippet,
    runId: await insertRun(names.template, true),
    liveRunId: await insertRun(names.template, false),
    jobId: await finishedJob(),
    batchId: await finishedBatch(),
    keyId: spare.principal.keyId,
    upstreamId,
    ...(await failedEvent(names.template)),
    ...(await waitingDelivery()),
  };
  await done("endpoints.create", owner, { url: "https://second.test/", description: mark });
  // What an isolate remembers for the owner must not answer a stranger.
  for (const version of [undefined, "latest", 1])
    await done("templates.render", owner, { name: owned.template, version, variables: { name: "x" } });
});

it("states the duty of every procedure and of no other", () => {
  expect(Object.keys(duties).sort()).toEqual(declaredProcedures.map(({ path }) => path).sort());
  for (const [path, duty] of Object.entries(duties)) expect(Object.keys(duty), path).not.toHaveLength(0);
});

describe.each(Object.entries(duties).filter(([, duty]) => duty.names))(
  "fault 38: foreign ids in %s",
  (path, { names }) => {
    it("does not tell another project's things from missing ones, and leaves them as they are", async () => {
      const before = await snapshot();
      const missing = nobodys();
      const foreign = names?.(owned) ?? [];
      for (const [index, input] of foreign.entries()) {
        const answer = await call(path, stranger, input);
        const reference = await call(path, stranger, names?.(missing)[index]);
        expect(answer.body, answer.text).toMatchObject({ error: { data: { weir: { code: "not_found" } } } });
        expect(answer.status).toBe(404);
        expect(reference.status).toBe(404);
        expect(comparable(answer.text, owned)).toBe(comparable(reference.text, missing));
      }
      expect(await snapshot()).toEqual(before);
    });
  },
);

describe.each(Object.entries(duties).filter(([, duty]) => duty.lists))(
  "fault 38: foreign things in %s",
  (path, { lists }) => {
    it("shows the owner's things to the owner alone", async () => {
      const things = { ...owned, keyId: owner.principal.keyId };
      for (const input of lists?.(things) ?? []) {
        const own = JSON.stringify(await done(path, owner, input));
        expect(own, JSON.stringify(input)).toMatch(new RegExp(`${mark}|${owner.principal.keyId}`));
        const theirs = JSON.stringify(await done(path, stranger, input));
        expect(theirs).not.toContain(mark);
        for (const id of [...Object.values(things), owner.principal.keyId, owner.principal.projectId])
          expect(theirs).not.toContain(id);
      }
    });
  },
);

describe.each(["templates.list", "runs.list", "keys.list", "upstreams.list", "triggers.list", "endpoints.list"])(
  "%s",
  (path) => {
    it("shows nothing of the owner's by the owner's cursor", async () => {
      const first = (await done(path, owner, { limit: 1 })) as Page<unknown>;
      expect(first.nextCursor).not.toBeNull();
      const answer = await call(path, stranger, { limit: 100, cursor: first.nextCursor });
      expect(answer.text).not.toContain(mark);
      expect(answer.text).not.toContain(owner.principal.keyId);
    });
  },
);

describe("procedures that name nothing of a project", () => {
  it("set a price for the caller's project alone", async () => {
    const price = { inputMicrosPerMillion: 7, outputMicrosPerMillion: 7, currency: "USD" };
    await done("models.setPrice", stranger, { model: `${mark}/model`, price });
    const { items } = (await done("models.list", owner, undefined)) as { items: { id: string; price: unknown }[] };
    expect(items.find((model) => model.id === `${mark}/model`)?.price).toMatchObject({ inputMicrosPerMillion: 1 });
    await done("models.setPrice", stranger, { model: `${mark}/model`, price: null });
  });

  it("make a key for the caller's project alone", async () => {
    const made = (await done("keys.create", stranger, { name: "fresh", scopes: ["templates:read"] })) as {
      secret: string;
    };
    const page = (await done("templates.list", { ...stranger, secret: made.secret }, {})) as Page<{ name: string }>;
    expect(page.items.map(({ name }) => name)).toEqual(["mine"]);
  });

  it("make an upstream for the caller's project alone, also under a name that another has", async () => {
    const made = { name: mark, baseUrl: "https://mine.test/v1", models: { mapped: "m" } };
    const { id } = (await done("upstreams.create", stranger, made)) as { id: string };
    const text = JSON.stringify([await done("models.list", owner, undefined), await done("upstreams.list", owner, {})]);
    expect(text).not.toContain("mapped");
    expect(text).not.toContain(id);
    await done("upstreams.archive", stranger, { id });
  });

  it("make an endpoint for the caller's project alone", async () => {
    const made = await done("endpoints.create", stranger, { url: "https://mine.test/" });
    const { id } = (made as EndpointWithSecret).endpoint;
    expect(JSON.stringify(await done("endpoints.list", owner, {}))).not.toContain(id);
    await done("endpoints.archive", stranger, { id });
  });

  it("let two projects use one name", async () => {
    await done("templates.create", stranger, { name: `${mark}/greeting`, content: { text: "another" } });
    const found = await done("templates.get", owner, { name: owned.template });
    expect(found).toMatchObject({ template: { kind: "chat", latestVersion: 2 } });
  });
});

/** Every row of the owner's, to see that nothing a stranger did has touched them. */
async function snapshot(): Promise<unknown> {
  const { projectId } = owner.principal;
  const rows = (sql: string) => env.DB.prepare(sql).bind(projectId).all();
  const ofTemplates = "template_id IN (SELECT id FROM templates WHERE project_id = ?)";
  const all = await Promise.all([
    rows("SELECT * FROM templates WHERE project_id = ?"),
    rows(`SELECT * FROM template_versions WHERE ${ofTemplates}`),
    rows(`SELECT * FROM template_labels WHERE ${ofTemplates}`),
    rows("SELECT * FROM runs WHERE project_id = ?"),
    rows("SELECT * FROM jobs WHERE project_id = ?"),
    rows("SELECT * FROM keys WHERE project_id = ?"),
    rows("SELECT * FROM model_prices WHERE project_id = ?"),
    rows("SELECT * FROM upstreams WHERE project_id = ?"),
    rows("SELECT * FROM triggers WHERE project_id = ?"),
    rows("SELECT * FROM events WHERE project_id = ?"),
    rows("SELECT * FROM endpoints WHERE project_id = ?"),
  ]);
  return all.map(({ results }) => results);
}
