import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import type { Upstream } from "../../src/contract/upstreams.ts";
import { newId } from "../../src/core/ids.ts";
import { secretBox } from "../../src/core/secretBox.ts";
import { upstreamUseCases } from "../../src/core/upstreamUseCases.ts";
import { database } from "../../src/store/db.ts";
import { upstreamStore } from "../../src/store/upstreams.ts";
import { costOf, meteredD1, planOf } from "../support/meteredD1.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

const metered = meteredD1(env.DB);
const store = upstreamStore(database(metered));

/** The use cases; `before` happens between what an update reads and what it writes. */
const useCasesWith = (before: () => Promise<unknown>) =>
  upstreamUseCases({
    ...store,
    async updateUpstream(owned, change) {
      await before();
      return store.updateUpstream(owned, change);
    },
    // Never answers and heeds no signal.
    callUpstream: () => new Promise(() => {}),
    testTimeoutMs: 20,
    forgetUpstreams: () => {},
    box: secretBox(btoa("a key of thirty-two bytes, no mo")),
    allowLoopback: false,
    now: Date.now,
  });
const useCases = useCasesWith(async () => {});

let owner: TestKey["principal"];
let stranger: TestKey["principal"];

beforeEach(async () => {
  owner = (await insertTestProject()).principal;
  stranger = (await insertTestProject()).principal;
});

const create = (name: string, fields: { apiKey?: string; models?: Record<string, string> } = {}) =>
  useCases.create(owner, { name, baseUrl: "https://acme.test/v1", headers: {}, models: {}, maxJobs: null, ...fields });

/** Rows as they would be after `count` upstreams were made and archived. */
async function insertArchived(projectId: string, count: number): Promise<void> {
  await env.DB.prepare(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO upstreams (id, project_id, name, base_url, header_names, models, created_at, updated_at, archived_at)
     SELECT 'ups_' || printf('%08d', i) || substr(?, -18), ?, 'old', 'https://old.test', '[]', '{}', 0, 0, 0 FROM n`,
  )
    .bind(count, projectId, projectId)
    .run();
}

describe("upstreams on D1", () => {
  it("come back as they were made, oldest first for routing, newest first in lists", async () => {
    const made: Upstream[] = [];
    for (const name of ["zeta", "beta", "alpha"]) made.push(await create(name, { apiKey: "k", models: { a: "b" } }));
    expect((await store.findActive(owner.projectId)).map(({ upstream }) => upstream)).toEqual(made);
    const first = await useCases.list(owner, { archived: false, limit: 2 });
    const second = await useCases.list(owner, { archived: false, limit: 2, cursor: first.nextCursor ?? "" });
    expect([...first.items, ...second.items]).toEqual(made.toReversed());
    expect(second.nextCursor).toBeNull();
    expect(await store.findActive(stranger.projectId)).toEqual([]);
  });

  it("cost a look-up the project's active rows, however many are archived or another's", async () => {
    await create("acme");
    await create("other");
    await insertArchived(owner.projectId, 300);
    const from = metered.statements.length;
    expect(await store.findActive(owner.projectId)).toHaveLength(2);
    // Two rows, and each through its index entry.
    expect(costOf(metered, from).rowsRead).toBeLessThanOrEqual(4);
  });

  it("cost a list in proportion to its page", async () => {
    await insertArchived(owner.projectId, 300);
    await create("acme");
    for (const archived of [true, false]) {
      const from = metered.statements.length;
      const { items } = await useCases.list(owner, { archived, limit: 5 });
      expect(items).toHaveLength(archived ? 5 : 1);
      expect(costOf(metered, from).rowsRead).toBeLessThanOrEqual(14);
      const [statement] = metered.statements.slice(from);
      expect(statement && (await planOf(env.DB, statement)).join()).toMatch(/USING INDEX upstreams_/);
    }
  });
});

describe("updates that race", () => {
  const move = { baseUrl: "https://new.test/v1" };
  const giveKey = { apiKey: "sk-for-the-old-address" };

  it.each([
    ["a move that comes between", giveKey, move, "conflict"],
    ["a key that comes between", move, giveKey, null],
  ])("never send a key that was given to the old address to the new one: %s", async (_, late, between, code) => {
    const { id } = await create("acme");
    const slow = useCasesWith(() => useCases.update(owner, { id, ...between }));
    const outcome = await slow.update(owner, { id, ...late }).catch((error: unknown) => error);
    if (code) expect(outcome).toMatchObject({ code });
    const stored = await store.findUpstream(owner.projectId, id);
    expect(stored).toMatchObject({ sealedKey: null, upstream: { ...move, hasKey: false, keyHint: null } });
  });

  it("write nothing to an upstream that has moved, has been archived or is another's", async () => {
    const { id } = await create("acme");
    const key = { sealed: "v1.x", hint: "…" };
    const change = { whileAt: "https://acme.test/v1", nowMs: Date.now(), key };
    const mine = { projectId: owner.projectId, id };
    expect(await store.updateUpstream(mine, { ...change, whileAt: "https://elsewhere.test" })).toBeNull();
    expect(await store.updateUpstream({ ...mine, projectId: stranger.projectId }, change)).toBeNull();
    expect(await store.updateUpstream({ ...mine, id: newId("ups") }, change)).toBeNull();
    expect(await store.updateUpstream(mine, change)).toMatchObject({ hasKey: true });
    expect(await store.archiveUpstream(stranger.projectId, id, 1)).toBeNull();
    const archived = await store.archiveUpstream(owner.projectId, id, Date.now());
    expect(archived).toMatchObject({ archived: true, hasKey: false });
    expect(await store.updateUpstream(mine, change)).toBeNull();
    expect(await store.archiveUpstream(owner.projectId, id, Date.now() + 60_000)).toEqual(archived);
    expect((await store.findUpstream(owner.projectId, id))?.sealedKey).toBeNull();
  });
});

it("a test call that is never answered ends at its time", async () => {
  const { id } = await create("acme");
  const result = await useCases.test(owner, { id, model: "m" });
  expect(result).toMatchObject({ ok: false, status: null, error: { code: "upstream_timeout" } });
});
