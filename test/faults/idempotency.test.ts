import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { chat, completion, scriptUpstream } from "../support/call.ts";
import { expectNextServed, outcomeOf, refused, usageOf } from "../support/faults.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});
afterEach(() => expectNextServed(project.secret));

const send = async (key: string, body: Record<string, unknown> = {}, secret = project.secret) =>
  outcomeOf(await chat(secret, body, { headers: { "idempotency-key": key } }));

const runsOf = ({ principal }: TestKey) =>
  env.DB.prepare("SELECT count(*) n FROM runs WHERE project_id = ?").bind(principal.projectId).first<number>("n");

describe("fault 36: one idempotency key, many requests", () => {
  it("20 at once are one run and one upstream call; the others conflict with a time to come again, or get its answer", async () => {
    const answer = Promise.withResolvers<Response>();
    using sent = scriptUpstream(() => answer.promise);
    const all = Array.from({ length: 20 }, () => send("race"));
    // All but the one that runs can be told at once.
    await Promise.any(all);
    answer.resolve(completion("once"));
    const outcomes = await Promise.all(all);
    const good = outcomes.filter(({ status }) => status === 200);
    const conflicts = outcomes.filter(({ status }) => status === 409);
    expect(good.length).toBeGreaterThan(0);
    expect(good.length + conflicts.length).toBe(20);
    expect(new Set(good.map(({ text }) => text)).size).toBe(1);
    expect(new Set(good.map(({ headers }) => headers.get("x-weir-run-id"))).size).toBe(1);
    for (const { error, headers } of conflicts) {
      expect(error).toMatchObject({ type: "conflict_error", code: "conflict" });
      expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
    }
    expect(sent).toHaveLength(1);
    expect(await runsOf(project)).toBe(1);
    expect(await usageOf(project.principal.projectId)).toMatchObject({ runs: 1 });
    const again = await send("race");
    expect(again.text).toBe(good[0]?.text);
    expect(again.headers.get("x-weir-run-id")).toBe(good[0]?.headers.get("x-weir-run-id"));
    expect(sent).toHaveLength(1);
  });

  it("with another body is a conflict that names it, and calls nobody", async () => {
    using sent = scriptUpstream(() => completion("first"));
    await send("k", { temperature: 0 });
    for (const body of [{ temperature: 1 }, { temperature: 0, model: "other" }, {}]) {
      const { status, error } = await send("k", body);
      expect(status).toBe(409);
      expect(error).toMatchObject({ code: "conflict", param: "Idempotency-Key" });
    }
    expect(sent).toHaveLength(1);
    expect(await runsOf(project)).toBe(1);
  });

  it("is free again after a failure, and another project's is another key", async () => {
    using sent = scriptUpstream(() => (sent.length === 1 ? refused(503) : completion("second")));
    expect((await send("k")).status).toBe(502);
    expect((await send("k")).status).toBe(200);
    const other = await insertTestProject();
    expect((await send("k", { temperature: 1 }, other.secret)).status).toBe(200);
    expect(sent).toHaveLength(3);
  });
});
