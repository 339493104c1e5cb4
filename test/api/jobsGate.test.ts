import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it, vi } from "vitest";
import { inTurn } from "../../src/core/slotQueue.ts";
import { busyUpstream, countRuns, countWaiting } from "../support/gate.ts";
import { jobObject, submitJob } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";
import { upstreamProject } from "../support/upstreams.ts";

vi.setConfig({ testTimeout: 60_000 });

/** How long a state may take to come about on a busy machine. */
const patience = { timeout: 20_000 };

const ask = (project: Pick<TestKey, "secret">, content: string, more: Record<string, unknown> = {}) =>
  submitJob(project, { messages: [{ role: "user", content }], ...more });

it("lets waiting jobs in by priority, then by age", async () => {
  const project = await insertTestProject({ maxJobs: 1 });
  using upstream = busyUpstream();
  await ask(project, "first");
  await expect.poll(() => upstream.asked).toEqual(["first"]);
  for (const [text, priority] of [
    ["low", -5],
    ["older", 0],
    ["younger", 0],
    ["high", 7],
  ] as const)
    await ask(project, text, { priority });
  await expect.poll(() => countWaiting(project)).toBe(4);
  upstream.answerAll();
  await expect.poll(() => countRuns(project, "succeeded"), patience).toBe(5);
  expect(upstream.asked).toEqual(["first", "high", "older", "younger", "low"]);
  expect(upstream.most).toBe(1);
});

it("lets jobs past those that wait for an upstream with a bound of its own", async () => {
  const { secret, projectId, create, done } = await upstreamProject();
  const project = { secret, principal: { projectId } };
  const { id } = await create({ name: "acme" });
  await done("upstreams.update", { id, maxJobs: 1 });
  using upstream = busyUpstream();
  for (const text of ["acme 1", "acme 2", "acme 3"]) await ask(project, text, { model: "acme/m", priority: 9 });
  await ask(project, "other", { priority: -9 });
  await expect.poll(() => upstream.asked, patience).toEqual(["acme 1", "other"]);
  await expect.poll(() => countWaiting(project)).toBe(2);
  upstream.answerAll();
  await expect.poll(() => countRuns(project, "succeeded"), patience).toBe(4);
  expect(upstream.asked).toEqual(["acme 1", "other", "acme 2", "acme 3"]);
});

it("loses no slot and no place when all objects end", async () => {
  const project = await insertTestProject({ maxJobs: 2 });
  using upstream = busyUpstream();
  const tickets = [];
  for (let at = 0; at < 6; at++) tickets.push(await ask(project, `job ${at}`));
  await expect.poll(() => upstream.asked, patience).toEqual(["job 0", "job 1"]);
  await abortAllDurableObjects();
  upstream.answerAll();
  // Those that were running lost their calls; their alarms take them up again.
  for (const { runId } of tickets.slice(0, 2)) await runDurableObjectAlarm(jobObject(runId));
  await expect.poll(() => countRuns(project, "succeeded"), patience).toBe(6);
  expect(upstream.asked.slice(2).toSorted()).toEqual(["job 0", "job 1", "job 2", "job 3", "job 4", "job 5"]);
  expect(upstream.most).toBe(2);
});

/** GATE_BURST=2000 npx vitest run test/api/jobsGate.test.ts is the long form. */
const burst = Number(env.GATE_BURST);
const long = { timeout: Math.max(120_000, 300 * burst), interval: 100 };

it(
  `brings ${burst} jobs that are submitted at once to their ends, in turn and within the bound`,
  async () => {
    const bound = 20;
    const project = await insertTestProject({ maxJobs: bound });
    using upstream = busyUpstream();
    const submitted = await Promise.all(
      Array.from({ length: burst }, async (_, at) => {
        const [text, priority] = [`job ${at}`, (at * 7) % 5];
        const { runId, createdAt } = await ask(project, text, { priority });
        return { text, job: { runId, priority, acceptedAtMs: Date.parse(createdAt), upstream: "default" } };
      }),
    );
    await expect.poll(() => countWaiting(project), long).toBe(burst - bound);
    await expect.poll(() => upstream.open.size, long).toBe(bound);
    // Whoever came while there was room did not wait.
    const atOnce = new Set(upstream.asked);
    upstream.answerAll();
    await expect.poll(() => countRuns(project, "succeeded"), long).toBe(burst);
    expect(upstream.most).toBe(bound);
    const waited = submitted.filter(({ text }) => !atOnce.has(text)).sort((a, b) => inTurn(a.job, b.job));
    const called = upstream.asked.slice(bound);
    expect(called.toSorted()).toEqual(waited.map(({ text }) => text).toSorted());
    // Objects that were let in together start as fast as they can, but nobody overtakes as many as there are slots.
    const overtaken = waited.map(({ text }, turn) => turn - called.indexOf(text));
    expect(Math.max(...overtaken)).toBeLessThan(bound);
  },
  2 * long.timeout,
);
