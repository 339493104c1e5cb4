import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { HookAnswer } from "../../src/contract/events.ts";
import { projectRoot } from "../../src/local/project.ts";
import { sendStream } from "../support/upstream.ts";
import { type JobBench, startJobBench } from "./jobBench.ts";

const exec = promisify(execFile);

let bench: JobBench;
let trigger: { path: string; secret: string; id: string };

beforeAll(async () => {
  bench = await startJobBench();
  bench.play(({ response }) => sendStream(response, ["ok"]));
  const content = { messages: [{ role: "user" as const, content: "Say {{words}}" }], model: "m" };
  await bench.client.templates.create.mutate({ name: "say", content });
  const made = await bench.client.triggers.create.mutate({
    name: "hook",
    scheme: "standard",
    template: "say",
    variables: { words: "text" },
  });
  trigger = { path: made.trigger.path, id: made.trigger.id, secret: made.secret };
});
afterAll(() => bench?.[Symbol.asyncDispose]());

/** One attempt of a sender, signed by the reference library; null when no answer came. */
async function send(id: string, body: string): Promise<{ status: number; answer: HookAnswer } | null> {
  const at = new Date();
  const headers = {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(trigger.secret).sign(id, at, body),
  };
  try {
    const response = await fetch(`${bench.line.url}${trigger.path}`, { method: "POST", headers, body });
    return { status: response.status, answer: (await response.json()) as HookAnswer };
  } catch {
    return null;
  }
}

const bodyOf = (text: string) => JSON.stringify({ text });
const answered = (status: number | undefined) => status === 200 || status === 202;

describe("a sender over real connections", () => {
  it("is answered before its event's run has ended, in little time", async () => {
    const runIds: string[] = [];
    const times: number[] = [];
    for (let at = 0; at < 120; at += 1) {
      const body = bodyOf(`quick ${at}`);
      const from = performance.now();
      const sent = await send(`quick_${at}`, body);
      // The first ones find a cold runtime.
      if (at >= 20) times.push(performance.now() - from);
      expect(sent).toMatchObject({ status: 202, answer: { status: "accepted" } });
      runIds.push(sent?.answer.runId ?? "");
    }
    times.sort((a, b) => a - b);
    const [p50 = 0, p95 = 0] = [times[50], times[95]];
    console.log(`received to 202: p50 ${p50.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms`);
    expect(new Set(runIds).size).toBe(120);
    for (const runId of runIds)
      expect(await bench.client.jobs.result.query({ runId })).toMatchObject({ status: "succeeded", content: "ok" });
  });

  it("by hand, with the lines of the README, is taken by every scheme", async () => {
    const readme = await readFile(join(projectRoot, "README.md"), "utf8");
    const [, section = ""] = /### Each scheme by hand[\s\S]*?```sh\n([\s\S]*?)```/.exec(readme) ?? [];
    const lines = section.replaceAll("http://127.0.0.1:8787", bench.line.url);
    const env = { ...process.env, KEY: bench.authorization.replace("Bearer ", "") };
    const { stdout } = await exec("sh", ["-c", `set -e\n${lines}`], { env });
    const answers = stdout.trim().split("\n");
    expect(answers).toHaveLength(6);
    for (const answer of answers)
      expect(JSON.parse(answer)).toEqual({
        eventId: expect.stringMatching(/^evt_/),
        runId: expect.stringMatching(/^run_/),
        status: "accepted",
        duplicate: false,
      });
    const { items } = await bench.client.triggers.list.query({});
    const tried = new Set(items.filter(({ name }) => name === "by hand").map(({ scheme }) => scheme));
    expect(tried).toEqual(new Set(["standard", "github", "stripe", "slack", "hmac", "bearer"]));
  });

  it("that is not answered sends again while the runtime is killed: one run an event, and none is lost", async () => {
    const calls = bench.upstream.requests.length;
    const events = Array.from({ length: 40 }, (_, at) => `killed_${at}`);
    const runs = new Map<string, Set<string>>();
    /** Until an answer of 2xx, and twice more as senders do that have lost it. */
    async function insist(id: string): Promise<void> {
      let times = 0;
      while (times < 3) {
        const sent = await send(id, bodyOf(id));
        if (sent && answered(sent.status)) {
          times += 1;
          expect(sent.answer.status).toBe("accepted");
          const known = runs.get(id) ?? new Set();
          runs.set(id, known.add(sent.answer.runId ?? ""));
        } else await pause(50);
      }
    }
    const sending = (async () => {
      for (let at = 0; at < events.length; at += 4) await Promise.all(events.slice(at, at + 4).map(insist));
    })();
    for (let kill = 0; kill < 3; kill += 1) {
      const before = runs.size;
      await vi.waitUntil(() => runs.size > before + 3 || runs.size === events.length, { timeout: 20_000, interval: 5 });
      await bench.kill();
      await bench.restart();
    }
    await sending;
    expect([...runs.values()].map((ids) => ids.size)).toEqual(events.map(() => 1));
    const { items } = await bench.client.triggers.events.query({ triggerId: trigger.id, limit: 100 });
    const stored = items.filter(({ senderId }) => senderId?.startsWith("killed_"));
    expect(stored.map(({ senderId }) => senderId).sort()).toEqual(events.toSorted());
    for (const { senderId, runId } of stored) {
      expect([...(runs.get(senderId ?? "") ?? [])]).toEqual([runId]);
      const result = await bench.client.jobs.result.query({ runId: runId ?? "" });
      // An answer that was cut off by a kill is kept as it is.
      expect(["succeeded", "interrupted"]).toContain(result.status);
    }
    expect(bench.upstream.requests.length - calls).toBeGreaterThanOrEqual(events.length);
  }, 120_000);
});
