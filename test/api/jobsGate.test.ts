import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { inTurn } from "../../src/core/slotQueue.ts";
import { busyUpstream, countRuns } from "../support/gate.ts";
import { submitJob } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

const ask = (project: TestKey, content: string, more: Record<string, unknown> = {}) =>
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
  upstream.answerAll();
  await expect.poll(() => countRuns(project, "succeeded"), { timeout: 10_000 }).toBe(5);
  expect(upstream.asked).toEqual(["first", "high", "older", "younger", "low"]);
  expect(upstream.most).toBe(1);
});

/** GATE_BURST=2000 npx vitest run test/api/jobsGate.test.ts is the long form. */
const burst = Number(env.GATE_BURST);

it(`brings ${burst} jobs that are submitted at once to their ends, in turn and within the bound`, async () => {
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
  await expect.poll(() => upstream.open.size, { timeout: 30_000 }).toBe(bound);
  // Whoever came while there was room did not wait.
  const atOnce = new Set(upstream.asked);
  upstream.answerAll();
  await expect.poll(() => countRuns(project, "succeeded"), { timeout: 300_000, interval: 200 }).toBe(burst);
  expect(upstream.most).toBe(bound);
  const waited = submitted.filter(({ text }) => !atOnce.has(text)).sort((a, b) => inTurn(a.job, b.job));
  const called = upstream.asked.slice(bound);
  expect(called.toSorted()).toEqual(waited.map(({ text }) => text).toSorted());
  // Objects that were let in together start as fast as they can, but nobody overtakes as many as there are slots.
  const overtaken = waited.map(({ text }, turn) => turn - called.indexOf(text));
  expect(Math.max(...overtaken)).toBeLessThan(bound);
}, 360_000);
