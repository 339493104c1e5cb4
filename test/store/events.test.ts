import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { NewEvent } from "../../src/core/eventPorts.ts";
import { newId, newUnguessableId } from "../../src/core/ids.ts";
import { database } from "../../src/store/db.ts";
import { eventStore } from "../../src/store/events.ts";
import { jobStore } from "../../src/store/jobs.ts";
import { findRun } from "../../src/store/runs.ts";
import { costOf, meteredD1, planOf } from "../support/meteredD1.ts";
import { aStart } from "../support/runRecords.ts";

const metered = meteredD1(env.DB);
const db = database(metered);
const store = eventStore(db);
const jobs = jobStore(db);
const json = JSON.stringify({ spec: { models: ["m"] }, request: null });

/** An accepted event of a sender whose id is not signed: what costs most. */
function anEvent(more: Partial<NewEvent> = {}): NewEvent {
  const projectId = more.projectId ?? newId("prj");
  return {
    id: newId("evt"),
    projectId,
    triggerId: newUnguessableId("trg"),
    receivedAtMs: Date.now(),
    senderId: crypto.randomUUID(),
    bodyDigest: crypto.randomUUID(),
    status: "accepted",
    error: null,
    payload: { text: "{}", contentType: "application/json", headers: { "x-a": "b" }, expiresAtMs: 7 },
    job: { start: aStart({ projectId }), runAtMs: 7, json },
    ...more,
  };
}

const failed = { status: "failed", job: null } as const;
const error = { code: "invalid_request", message: "m", param: "filter", expression: "a" } as const;

describe("an event that is received", () => {
  it("is there with its job, which is a queued run", async () => {
    const event = anEvent();
    const runId = event.job?.start.id;
    expect(await store.receiveEvent(event)).toEqual({ eventId: event.id, runId, status: "accepted" });
    expect(await store.findEvent(event.projectId, event.id)).toEqual({
      event: {
        id: event.id,
        triggerId: event.triggerId,
        receivedAt: new Date(event.receivedAtMs).toISOString(),
        status: "accepted",
        runId,
        senderId: event.senderId,
        error: null,
        hasPayload: true,
      },
      payload: event.payload,
    });
    expect((await findRun(db)(event.projectId, runId ?? ""))?.run.status).toBe("queued");
    expect(await jobs.findStoredJob(event.projectId, runId ?? "")).toEqual({ stored: JSON.parse(json) });
    expect(await store.findEvent(newId("prj"), event.id)).toBeNull();
  });

  it("twice, as after a lost reply, is there once", async () => {
    const event = anEvent();
    expect(await store.receiveEvent(event)).toEqual(await store.receiveEvent(event));
  });

  it.each([
    ["the sender's id", { bodyDigest: "another" }],
    ["the body", { senderId: "another" }],
    ["both", {}],
  ])("is known again by %s, and leaves nothing then", async (_, more) => {
    const first = anEvent();
    const held = await store.receiveEvent(first);
    const again = anEvent({ ...first, ...more, id: newId("evt"), job: anEvent({ projectId: first.projectId }).job });
    expect(await store.receiveEvent(again)).toEqual(held);
    for (const table of ["events", "runs", "jobs"]) {
      const count = env.DB.prepare(`SELECT count(*) n FROM ${table} WHERE project_id = ?`).bind(first.projectId);
      expect(await count.first("n"), table).toBe(1);
    }
  });

  it("without an id, or without a digest, is not known by the lack of it", async () => {
    const first = anEvent({ senderId: null, bodyDigest: "x" });
    await store.receiveEvent(first);
    const { triggerId, projectId } = first;
    const second = anEvent({ triggerId, projectId, senderId: null, bodyDigest: "y" });
    expect(await store.receiveEvent(second)).toMatchObject({ eventId: second.id });
    const third = anEvent({ triggerId, projectId, senderId: "z", bodyDigest: null });
    expect(await store.receiveEvent(third)).toMatchObject({ eventId: third.id });
    const fourth = anEvent({ triggerId, projectId, senderId: "w", bodyDigest: null });
    expect(await store.receiveEvent(fourth)).toMatchObject({ eventId: fourth.id });
  });

  it("finds the one that it is known as by an index", async () => {
    const from = metered.statements.length;
    await store.receiveEvent(anEvent());
    const holder = metered.statements.slice(from).at(-1);
    if (!holder) throw new Error("no statement");
    const plan = (await planOf(env.DB, holder)).join("\n");
    for (const index of ["events_sender", "events_body"]) expect(plan).toContain(index);
    expect(plan).not.toContain("SCAN events");
  });

  it("writes at most 8 rows beside those of its job", async () => {
    const projectId = newId("prj");
    const from = metered.statements.length;
    const start = aStart({ projectId });
    await jobs.submitJob({ start, runAtMs: 7, json, idempotency: null });
    const ofJob = costOf(metered, from).rowsWritten;
    const written: Record<string, number> = {};
    for (const [kind, more] of Object.entries({
      accepted: {},
      signed: { bodyDigest: null },
      ignored: { status: "ignored", job: null } as const,
      failed: { ...failed, error },
    })) {
      const before = metered.statements.length;
      await store.receiveEvent(anEvent({ projectId, ...more }));
      written[kind] = costOf(metered, before).rowsWritten - ("job" in more ? 0 : ofJob);
    }
    expect(written).toEqual({ accepted: 6, signed: 5, ignored: 7, failed: 7 });
  });

  it("again writes nothing", async () => {
    const event = anEvent();
    await store.receiveEvent(event);
    const from = metered.statements.length;
    await store.receiveEvent({ ...event, id: newId("evt") });
    expect(costOf(metered, from).rowsWritten).toBe(0);
  });
});

describe("an event that is replayed", () => {
  it("has its run once it is accepted, and keeps it", async () => {
    const event = anEvent({ ...failed, error });
    await store.receiveEvent(event);
    const { projectId, id } = event;
    const accepted = (start = aStart({ projectId })) => ({
      status: "accepted" as const,
      error: null,
      payload: event.payload,
      job: { start, runAtMs: 7, json },
    });
    expect(await store.settleEvent(newId("prj"), id, accepted())).toBeNull();
    const outcomes = Array.from({ length: 5 }, () => accepted());
    const settled = await Promise.all(outcomes.map((outcome) => store.settleEvent(projectId, id, outcome)));
    const runIds = new Set(settled.map((one) => one?.runId));
    expect(runIds.size).toBe(1);
    expect(outcomes.map(({ job }) => job.start.id)).toContain([...runIds][0]);
    const count = env.DB.prepare("SELECT count(*) n FROM jobs WHERE project_id = ?").bind(projectId);
    expect(await count.first("n")).toBe(1);
    await store.settleEvent(projectId, id, { ...failed, error, payload: null });
    expect(await store.findEvent(projectId, id)).toMatchObject({ event: { status: "accepted", error: null } });
  });
});

describe("a list of events", () => {
  it("reads no more rows than its page, of each status", async () => {
    const { projectId, triggerId } = anEvent();
    for (let at = 0; at < 30; at += 1) {
      const more = at % 10 === 0 ? { ...failed, error } : {};
      await store.receiveEvent(anEvent({ projectId, triggerId, ...more }));
    }
    for (const [status, rows] of [
      [undefined, 5],
      ["failed", 3],
    ] as const) {
      const from = metered.statements.length;
      const found = await store.listEvents({ projectId, triggerId }, { status, beforeId: null, limit: 5 });
      expect(found).toHaveLength(rows);
      expect(costOf(metered, from).rowsRead).toBeLessThanOrEqual(2 * rows + 1);
    }
  });

  it("of payloads that have expired is found by its index, a bounded part at a time", async () => {
    for (let at = 0; at < 5; at += 1)
      await store.receiveEvent(anEvent({ payload: { ...payload, expiresAtMs: at + 1 } }));
    const from = metered.statements.length;
    expect(await store.pruneEvents(3, 2)).toBe(2);
    const [prune] = metered.statements.slice(from);
    if (!prune) throw new Error("no statement");
    expect((await planOf(env.DB, prune)).join("\n")).toContain("events_expires");
  });
});

const payload = { text: "{}", contentType: null, headers: {} };
