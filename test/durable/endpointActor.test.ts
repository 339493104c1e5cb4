import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import type { Notice } from "../../src/core/webhookMessages.ts";
import {
  callEndpoints,
  deliveriesOf,
  deliveryOf,
  endpointObject,
  endpointState,
  handedOver,
  makeEndpoint,
  notices,
  patient,
  ring,
  scriptReceivers,
  updateEndpoint,
} from "../support/endpoints.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";
import { laterBy } from "../support/sweep.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const ok = () => new Response(null, { status: 204 });
const handOver = (endpointId: string, messages: readonly Notice[], forMs?: number) =>
  handedOver(project, endpointId, { messages, forMs });

const delivered = (id: string) => deliveriesOf(project, id, { status: "delivered", limit: 100 });

describe("an endpoint's object", () => {
  it("takes a message once, however often it is handed over", async () => {
    using received = scriptReceivers(ok);
    const { id } = await makeEndpoint(project);
    const messages = notices(2);
    await Promise.all(Array.from({ length: 5 }, () => handOver(id, messages)));
    await expect.poll(() => delivered(id), patient).toHaveLength(2);
    await handOver(id, messages);
    await ring(id);
    expect(received).toHaveLength(2);
    expect(await deliveriesOf(project, id)).toHaveLength(2);
  });

  it("sends a few at a time, to the last", async () => {
    const under = { now: 0, most: 0 };
    using received = scriptReceivers(async () => {
      under.most = Math.max(under.most, ++under.now);
      await new Promise((go) => setTimeout(go, 2));
      under.now--;
      return ok();
    });
    const { id } = await makeEndpoint(project);
    await handOver(id, notices(50));
    await expect.poll(() => delivered(id), { timeout: 5_000 }).toHaveLength(50);
    expect(received).toHaveLength(50);
    expect(under.most).toBe(limits.maxSends);
  });

  it("starts no send after a 410, not even of those that are being prepared", async () => {
    const answered = { gone: 0, after: 0 };
    using _ = scriptReceivers(() => {
      if (answered.gone > 0) answered.after++;
      answered.gone++;
      return new Response(null, { status: 410 });
    });
    const { id } = await makeEndpoint(project);
    await handOver(id, notices(30));
    await expect.poll(() => endpointState(project, id), patient).toMatchObject({ endpoint: { status: "disabled" } });
    // Those that were on their way already.
    expect(answered.gone).toBeLessThanOrEqual(limits.maxSends);
    expect((await endpointState(project, id)).pending).toBe(30);
  });

  it("waits while D1 cannot tell where the messages go, and counts no attempt", async () => {
    using received = scriptReceivers(ok);
    const { id } = await makeEndpoint(project);
    await env.DB.exec("ALTER TABLE endpoints RENAME TO endpoints_away");
    await handOver(id, notices(1));
    await runInDurableObject(endpointObject(id), (_, { storage }) =>
      expect
        .poll(() => storage.sql.exec("SELECT attempts, status FROM deliveries").toArray(), patient)
        .toEqual([{ attempts: 0, status: "pending" }]),
    );
    await env.DB.exec("ALTER TABLE endpoints_away RENAME TO endpoints");
    await laterBy(2_000, async () => {
      await ring(id);
      await vi.waitUntil(() => received.length === 1, patient);
    });
    await expect.poll(() => delivered(id), patient).toMatchObject([{ attempts: 1 }]);
  });

  it("has the list show that it is disabled as soon as D1 takes it", async () => {
    using _ = scriptReceivers(() => new Response(null, { status: 410 }));
    const { id } = await makeEndpoint(project);
    await env.DB.exec("CREATE TRIGGER refuse BEFORE UPDATE ON endpoints BEGIN SELECT RAISE(ABORT, 'not now'); END");
    await handOver(id, notices(1));
    await expect.poll(() => endpointState(project, id), patient).toMatchObject({ endpoint: { status: "disabled" } });
    const listed = async () => (await callEndpoints(project, "list", {})).data;
    expect(await listed()).toMatchObject({ items: [{ status: "enabled" }] });
    await env.DB.exec("DROP TRIGGER refuse");
    await laterBy(2_000, () => ring(id));
    await expect.poll(listed, patient).toMatchObject({ items: [{ status: "disabled", disabled: { reason: "gone" } }] });
  });

  it("lists its messages page by page, by state and by run, newest first", async () => {
    using _ = scriptReceivers((_, count) => new Response(null, { status: count % 2 ? 204 : 500 }));
    const { id } = await makeEndpoint(project);
    const messages = notices(9);
    for (const message of messages) {
      await handOver(id, [message]);
      await expect
        .poll(() => deliveryOf(project, id, message.id), patient)
        .toMatchObject({ delivery: { attempts: 1 } });
    }
    const newest = messages.map((one) => one.id).toReversed();
    const seen: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const { data } = await callEndpoints<{ items: { id: string }[]; nextCursor: string | null }>(
        project,
        "deliveries.list",
        { endpointId: id, limit: 4, ...(cursor && { cursor }) },
      );
      seen.push(...data.items.map((one) => one.id));
      cursor = data.nextCursor;
    }
    expect(seen).toEqual(newest);
    const ids = async (more: object) => (await deliveriesOf(project, id, { ...more })).map((one) => one.id);
    expect(await ids({ status: "delivered" })).toEqual(newest.filter((_, at) => at % 2 === 0));
    expect(await ids({ status: "pending" })).toEqual(newest.filter((_, at) => at % 2 === 1));
    expect(await ids({ runId: messages[3]?.runId })).toEqual([messages[3]?.id]);
    expect(await deliveryOf(project, id, newest[0] ?? "")).toMatchObject({ body: messages[8]?.body });
  });

  it("drops what has been kept long enough, but nothing that is still to be sent", async () => {
    using _ = scriptReceivers((_, count) => new Response(null, { status: count === 1 ? 204 : 500 }));
    const { id } = await makeEndpoint(project);
    const [short, long, pending] = notices(3);
    if (!short || !long || !pending) throw new Error("too few");
    await handOver(id, [short], 60_000);
    await expect.poll(() => delivered(id), patient).toHaveLength(1);
    await handOver(id, [pending], 60_000);
    await handOver(id, [long]);
    await expect.poll(() => endpointState(project, id), patient).toMatchObject({ pending: 2 });
    await laterBy(61_000, () => ring(id));
    const left = (await deliveriesOf(project, id)).map((one) => one.id);
    expect(new Set(left)).toEqual(new Set([pending.id, long.id]));
    await updateEndpoint(project, { id, enabled: false });
    await laterBy(62_000, () => ring(id));
    expect((await deliveriesOf(project, id)).map((one) => one.id)).toEqual([long.id]);
    const attempts = await runInDurableObject(endpointObject(id), (_, { storage }) =>
      storage.sql.exec("SELECT DISTINCT delivery FROM attempts").toArray(),
    );
    expect(attempts.every(({ delivery }) => delivery === long.id)).toBe(true);
  });

  it("keeps so many messages and no more: the oldest that have come to their end make way", async () => {
    using _ = scriptReceivers(ok);
    const { id } = await makeEndpoint(project);
    const [oldest, second] = notices(2);
    if (!oldest || !second) throw new Error("too few");
    await handOver(id, [oldest]);
    await expect.poll(() => delivered(id), patient).toHaveLength(1);
    await updateEndpoint(project, { id, enabled: false });
    await handOver(id, [second]);
    await runInDurableObject(endpointObject(id), (_, { storage }) =>
      storage.sql.exec(
        `WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)
         INSERT INTO deliveries SELECT 'dlv_z' || n, 'run.failed', NULL, NULL, '{}', 'dead', n, ?, 8, 8, NULL, NULL FROM n`,
        limits.maxDeliveries - 2,
        Date.now() + limits.deliveryKeptMs,
      ),
    );
    await evictDurableObject(endpointObject(id));
    const [newest] = notices(1);
    if (!newest) throw new Error("too few");
    await handOver(id, [newest]);
    const kept = await runInDurableObject(endpointObject(id), (_, { storage }) =>
      storage.sql.exec("SELECT count(*) AS n FROM deliveries").one(),
    );
    expect(kept["n"]).toBe(limits.maxDeliveries + 1 - limits.prunedDeliveries);
    expect(await callEndpoints(project, "deliveries.get", { endpointId: id, id: oldest.id })).toMatchObject({
      status: 404,
    });
    for (const { id: kept } of [second, newest]) expect(await deliveryOf(project, id, kept)).toBeDefined();
  });

  it("stores few rows for a message that arrives at once", async () => {
    using _ = scriptReceivers(ok);
    const { id } = await makeEndpoint(project);
    await handOver(id, notices(1));
    await expect.poll(() => delivered(id), patient).toHaveLength(1);
    const counted = await runInDurableObject(endpointObject(id), (_, { storage }) => {
      const counts = { rows: 0 };
      const exec = storage.sql.exec.bind(storage.sql);
      storage.sql.exec = ((query: string, ...bindings: unknown[]) => {
        const cursor = exec(query, ...bindings);
        counts.rows += cursor.rowsWritten;
        return cursor;
      }) as typeof storage.sql.exec;
      return counts;
    });
    await handOver(id, notices(10));
    await expect.poll(() => delivered(id), patient).toHaveLength(11);
    expect(counted.rows / 10).toBeLessThanOrEqual(8);
  });

  it("is empty once the endpoint is archived, also when a message was on its way", async () => {
    const network = { isStalling: true, answered: 0 };
    using received = scriptReceivers(async () => {
      while (network.isStalling) await new Promise((go) => setTimeout(go, 2));
      network.answered++;
      return new Response(null, { status: 410 });
    });
    const { id } = await makeEndpoint(project);
    await handOver(id, notices(6));
    await vi.waitUntil(() => received.length === limits.maxSends, patient);
    await callEndpoints(project, "archive", { id });
    network.isStalling = false;
    await vi.waitUntil(() => network.answered === limits.maxSends, patient);
    // A job that has not heard of it yet.
    await handOver(id, notices(1));
    const left = () =>
      runInDurableObject(endpointObject(id), async (_, { storage }) => [
        ...storage.kv.list(),
        ...storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'deliveries'").toArray(),
        ...[await storage.getAlarm()].filter((alarm) => alarm !== null),
      ]);
    await expect.poll(left, patient).toEqual([]);
    expect(received).toHaveLength(limits.maxSends);
  });

  it("holds nothing for ids that nobody has made", async () => {
    const object = endpointObject("end_never");
    const owner = { projectId: "prj_1", endpointId: "end_never" };
    expect(
      await object.listDeliveries(owner, { status: undefined, runId: undefined, beforeId: null, limit: 5 }),
    ).toEqual([]);
    expect(await object.findDelivery(owner, "dlv_1")).toBeNull();
    expect(await object.replay(owner, "dlv_1")).toBeNull();
    expect(await object.state(owner)).toEqual({ pending: 0, dead: 0, failingSinceMs: null, disabled: null });
    const tables = await runInDurableObject(object, (_, { storage }) =>
      storage.sql.exec("SELECT name FROM sqlite_master WHERE name IN ('deliveries', 'attempts')").toArray(),
    );
    expect(tables).toEqual([]);
  });

  it("takes nothing from another project", async () => {
    const { id: endpointId } = await makeEndpoint(project);
    await updateEndpoint(project, { id: endpointId, enabled: false });
    const foreign = runInDurableObject(endpointObject(endpointId), (object) =>
      object.accept({ projectId: "prj_other", endpointId }, notices(1), limits.deliveryKeptMs),
    );
    await expect(foreign).rejects.toThrow("another project's");
    expect(await deliveriesOf(project, endpointId)).toEqual([]);
  });
});
