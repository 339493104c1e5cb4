import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
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

const burst = Number(env.GATE_BURST);

it(`brings ${burst} jobs that are submitted at once to their ends, in order and within the bound`, async () => {
  const bound = 20;
  const project = await insertTestProject({ maxJobs: bound });
  using upstream = busyUpstream();
  const priorities = Array.from({ length: burst }, (_, at) => (at * 7) % 5);
  const began = Date.now();
  const tickets = await Promise.all(
    priorities.map(async (priority, at) => ({
      text: `job ${at}`,
      priority,
      ticket: await ask(project, `job ${at}`, { priority }),
    })),
  );
  const submitted = Date.now();
  await expect.poll(() => upstream.open.size, { timeout: 30_000 }).toBe(bound);
  // Whoever came while there was room did not wait.
  const atOnce = [...upstream.asked];
  const inTurn = tickets
    .filter(({ text }) => !atOnce.includes(text))
    .sort((a, b) => b.priority - a.priority || (a.ticket.createdAt < b.ticket.createdAt ? -1 : 1) || 0)
    .map(({ text }) => text);
  upstream.answerAll();
  await expect.poll(() => countRuns(project, "succeeded"), { timeout: 120_000 }).toBe(burst);
  expect([submitted - began, Date.now() - submitted]).toBe(0);
  expect(upstream.most).toBe(bound);
  expect(upstream.asked).toHaveLength(burst);
  expect(new Set(upstream.asked).size).toBe(burst);
}, 180_000);
