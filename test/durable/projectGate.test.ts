import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { newId } from "../../src/core/ids.ts";
import { JobActor } from "../../src/durable/jobActor.ts";
import { gateObject } from "../support/gate.ts";

/** A project's gate, addressed anew for each call: a stub does not outlive its object. */
let gate: () => ReturnType<typeof gateObject>;
/** The runs whose jobs were told that they are let in. */
let called: string[];
/** How a job takes the call. */
let takesCall: (runId: string) => Promise<boolean>;

beforeEach(() => {
  const projectId = newId("prj");
  gate = () => gateObject({ principal: { projectId } });
  called = [];
  takesCall = async () => true;
  vi.spyOn(JobActor.prototype, "admitted").mockImplementation(async function (this: JobActor) {
    const runId = (this as unknown as { ctx: DurableObjectState }).ctx.id.name ?? "";
    called.push(runId);
    return takesCall(runId);
  });
});

afterEach(() => vi.restoreAllMocks());

let acceptedAtMs = 0;
type Asked = { upstream?: string; priority?: number; max?: number; upstreamMax?: number | null; at?: number };

function request(runId: string, { upstream = "a", priority = 0, max = 1, upstreamMax = null, at }: Asked = {}) {
  const maxJobs = { project: max, upstream: upstreamMax };
  return gate().requestSlot(runId, { priority, acceptedAtMs: at ?? ++acceptedAtMs, upstream, maxJobs });
}

/** Makes all leases end, and the gate's instance with them: it remembers them. */
async function endLeases(): Promise<void> {
  await runInDurableObject(gate(), (_, { storage }) => storage.sql.exec("UPDATE slots SET lease_until = 0").toArray());
  await evictDurableObject(gate());
}

describe("a gate", () => {
  it("tells a waiting job once that its turn has come, however often it and its like ask", async () => {
    for (let times = 0; times < 3; times++) expect(await request("run_1", { at: 1 })).toBe("admitted");
    for (let times = 0; times < 3; times++) expect(await request("run_2", { at: 2 })).toBe("waiting");
    expect(await request("run_3", { at: 3 })).toBe("waiting");
    for (let times = 0; times < 3; times++) await gate().releaseSlot("run_1");
    await expect.poll(() => called).toEqual(["run_2"]);
    expect(await request("run_2", { at: 2 })).toBe("admitted");
    expect(await request("run_3", { at: 3 })).toBe("waiting");
    expect(called).toEqual(["run_2"]);
  });

  it("lets nobody wait for a job that has left the queue", async () => {
    for (const runId of ["run_1", "run_2", "run_3"]) await request(runId);
    await gate().releaseSlot("run_2");
    await gate().releaseSlot("run_1");
    await expect.poll(() => called).toEqual(["run_3"]);
  });

  it("lets jobs for other upstreams past those whose upstream is full, which keep their turn", async () => {
    const acme = { upstream: "acme", upstreamMax: 1, max: 3, priority: 9 };
    expect(await request("acme_1", acme)).toBe("admitted");
    expect(await request("acme_2", acme)).toBe("waiting");
    expect(await request("acme_3", { ...acme, priority: 10 })).toBe("waiting");
    expect(await request("other_1", { max: 3 })).toBe("admitted");
    expect(await request("other_2", { max: 3 })).toBe("admitted");
    expect(await request("other_3", { max: 3 })).toBe("waiting");
    await gate().releaseSlot("other_1");
    await expect.poll(() => called).toEqual(["other_3"]);
    await gate().releaseSlot("acme_1");
    await expect.poll(() => called).toEqual(["other_3", "acme_3"]);
  });

  it("holds to the newest number: a job that was accepted before it was set does not bring the old one back", async () => {
    expect(await request("run_1", { max: 1, at: 10 })).toBe("admitted");
    expect(await request("run_2", { max: 1, at: 11 })).toBe("waiting");
    expect(await request("run_3", { max: 3, at: 20 })).toBe("admitted");
    await expect.poll(() => called).toEqual(["run_2"]);
    expect(await request("run_2", { max: 1, at: 11 })).toBe("admitted");
    expect(await request("run_4", { max: 1, at: 12 })).toBe("waiting");
    await evictDurableObject(gate());
    expect(await request("run_5", { max: 9, at: 13 })).toBe("waiting");
    await gate().releaseSlot("run_1");
    await expect.poll(() => called).toEqual(["run_2", "run_4"]);
  });
});

describe("a gate that is ended", () => {
  it("has its slots and its queue when it comes back", async () => {
    for (const runId of ["run_1", "run_2", "run_3"]) await request(runId);
    await request("run_4", { priority: 1 });
    await abortAllDurableObjects();
    expect(await request("run_5")).toBe("waiting");
    await gate().releaseSlot("run_1");
    await expect.poll(() => called).toEqual(["run_4"]);
    await abortAllDurableObjects();
    await gate().releaseSlot("run_4");
    await expect.poll(() => called).toContain("run_2");
    expect(called).not.toContain("run_3");
  });

  it("calls again the job that it had given a slot to, unless that has taken it up", async () => {
    for (const runId of ["run_1", "run_2"]) await request(runId);
    await gate().releaseSlot("run_1");
    await expect.poll(() => called).toEqual(["run_2"]);
    await abortAllDurableObjects();
    await gate().renewSlot("run_none");
    await expect.poll(() => called).toEqual(["run_2", "run_2"]);
    expect(await request("run_2")).toBe("admitted");
    await abortAllDurableObjects();
    expect(await request("run_3")).toBe("waiting");
    expect(called).toEqual(["run_2", "run_2"]);
  });
});

describe("a slot", () => {
  it("that nobody renews goes to the next when its lease is over; an alarm too many does nothing", async () => {
    for (const runId of ["run_1", "run_2", "run_3"]) await request(runId);
    expect(await runDurableObjectAlarm(gate())).toBe(true);
    expect(called).toEqual([]);
    await endLeases();
    expect(await runDurableObjectAlarm(gate())).toBe(true);
    await expect.poll(() => called).toEqual(["run_2"]);
    await runDurableObjectAlarm(gate());
    await runDurableObjectAlarm(gate());
    expect(await request("run_2")).toBe("admitted");
    expect(await request("run_1")).toBe("waiting");
    expect(called).toEqual(["run_2"]);
  });

  it("is kept by a job that gives word late, as long as nobody else has it", async () => {
    await request("run_1");
    await endLeases();
    await gate().renewSlot("run_1");
    expect(await request("run_2")).toBe("waiting");
  });

  it("is offered once more to a job whose call has failed, then to the next", async () => {
    for (const runId of ["run_1", "run_2", "run_3"]) await request(runId);
    takesCall = async (runId) => {
      if (runId === "run_2") throw new Error("the object was reset");
      return true;
    };
    await gate().releaseSlot("run_1");
    await expect.poll(() => called).toEqual(["run_2", "run_2", "run_3"]);
    // It asks again by itself.
    expect(await request("run_2")).toBe("waiting");
    await gate().releaseSlot("run_3");
    await expect.poll(() => called).toEqual(["run_2", "run_2", "run_3", "run_2", "run_2"]);
  });

  it("goes to the next where a job has no use for it any more, or there is no such job", async () => {
    for (const runId of ["run_1", "run_2", "run_3"]) await request(runId);
    takesCall = async (runId) => runId !== "run_2";
    await gate().releaseSlot("run_1");
    await expect.poll(() => called).toEqual(["run_2", "run_3"]);
    vi.restoreAllMocks();
    await request("run_none");
    await request("run_4", { priority: -1 });
    await gate().releaseSlot("run_3");
    await expect.poll(() => request("run_5", { priority: -2 })).toBe("admitted");
  });
});
