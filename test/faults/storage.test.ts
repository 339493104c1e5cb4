import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { callWeir, chat, completion, delta, events, scriptUpstream, storedRun, usageEvent } from "../support/call.ts";
import { type D1Fault, failingD1 } from "../support/failingD1.ts";
import { done, expectNextServed, finish, outcomeOf, usageOf } from "../support/faults.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

// A project for each test, of which the isolate remembers nothing yet.
let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});
afterEach(() => expectNextServed(project.secret));

const prompt = { id: "letter", variables: { text: "x" } };
async function saveTemplate(): Promise<void> {
  const content = { messages: [{ role: "user", content: "{{text}} {{> sig}}" }], model: "vendor/m" };
  for (const body of [
    { name: "sig", content: { text: "weir" } },
    { name: "letter", content },
  ])
    expect((await callWeir("/trpc/templates.create", { secret: project.secret, body })).response.status).toBe(200);
}
const streamed = () => events(delta("ok"), finish, usageEvent, done);
const bodies = {
  "/v1/chat/completions": { prompt },
  "/trpc/completions.create": { template: "letter", variables: prompt.variables },
};

describe("fault 21: D1 fails before work", () => {
  it.each(Object.entries(bodies))(
    "%s: an unknown caller gets 503 with Retry-After, no upstream is called",
    async (path, body) => {
      await saveTemplate();
      using sent = scriptUpstream(() => completion("ok"));
      const DB = failingD1(env.DB, { fails: () => true, when: "before" });
      const cold = await insertTestProject();
      const { response } = await callWeir(path, { secret: cold.secret, body, env: { DB } });
      expect(response.status).toBe(503);
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(await response.text()).not.toMatch(/D1|overloaded|Queries/);
      expect(sent).toHaveLength(0);
    },
  );
});

const faults: [string, D1Fault["when"]][] = [
  ["fails before it took effect", "before"],
  ["loses its reply after it took effect", "after commit"],
];

describe.each(faults)("fault 21 and fault 22: D1's call number n %s", (_name, when) => {
  it.each([false, true])(
    "a request (stream: %s) is refused before any work, or answered and recorded once",
    async (stream) => {
      const seen = new Set<string>();
      for (let n = 1; ; n++) {
        project = await insertTestProject();
        await saveTemplate();
        const { secret, principal } = project;
        const DB = failingD1(env.DB, { fails: (call) => call === n, when });
        using sent = scriptUpstream(() => (stream ? streamed() : completion("ok")));
        // A key of its own, so that the isolate has to ask for everything.
        const outcome = await outcomeOf(
          await callWeir("/v1/chat/completions", { secret, body: { prompt, stream }, env: { DB } }),
        );
        if (sent.length === 0) {
          seen.add("refused");
          expect(outcome.status).toBeGreaterThanOrEqual(500);
          expect(outcome.run).toBeNull();
          expect(await usageOf(principal.projectId)).toEqual({ runs: 0, tokens: 0 });
        } else {
          seen.add("answered");
          expect(outcome.status).toBe(200);
          expect(outcome.text).toContain("ok");
          expect(outcome.run).toMatchObject({ status: "succeeded", usage_source: "upstream", template_name: "letter" });
          expect(outcome.answer?.content).toBe("ok");
          expect(await usageOf(principal.projectId)).toEqual({ runs: 1, tokens: stream ? 2 : 72 });
        }
        if (DB.counted.failed === 0) break;
        expect(n).toBeLessThan(40);
      }
      expect([...seen].sort()).toEqual(["answered", "refused"]);
    },
  );
});

describe.each(faults)("fault 22: D1 %s after the answer, several times", (_name, when) => {
  it.each([false, true])("the answer stands and is recorded once (stream: %s)", async (stream) => {
    const { secret, principal } = project;
    // The isolate remembers the key from here on; what is left for D1 is the record.
    using _sent = scriptUpstream(() => (stream ? streamed() : completion("ok")));
    await outcomeOf(await chat(secret, { stream }));
    const before = await usageOf(principal.projectId);
    const DB = failingD1(env.DB, { fails: (call) => call <= 3, when });
    const outcome = await outcomeOf(await chat(secret, { stream }, { env: { DB } }));
    expect(DB.counted.failed).toBe(3);
    expect(outcome.status).toBe(200);
    expect(outcome.text).toContain("ok");
    expect(outcome.run).toMatchObject({ status: "succeeded", finish_reason: "stop" });
    const { runs, tokens } = await usageOf(principal.projectId);
    expect(runs - before.runs).toBe(1);
    expect(tokens - before.tokens).toBe(stream ? 2 : 72);
  });

  it("a failed answer is recorded once as well", async () => {
    const { secret, principal } = project;
    using _sent = scriptUpstream(() => events(delta("part"), usageEvent));
    await outcomeOf(await chat(secret, { stream: true }));
    const DB = failingD1(env.DB, { fails: (call) => call <= 3, when });
    const outcome = await outcomeOf(await chat(secret, { stream: true }, { env: { DB } }));
    expect(outcome.run).toMatchObject({ status: "failed", error_code: "upstream_error", completion_tokens: 2 });
    expect(outcome.answer?.content).toBe("part");
    expect(await usageOf(principal.projectId)).toEqual({ runs: 2, tokens: 4 });
  });
});

describe("fault 22: D1 that stays away", () => {
  it.each([false, true])("does not take the answer from the client (stream: %s)", async (stream) => {
    const { secret } = project;
    using _sent = scriptUpstream(() => (stream ? streamed() : completion("ok")));
    await outcomeOf(await chat(secret, { stream }));
    const DB = failingD1(env.DB, { fails: () => true, when: "before" });
    const { response, settled } = await chat(secret, { stream }, { env: { DB } });
    expect(response.status).toBe(200);
    expect(await response.text()).toContain("ok");
    await settled();
    expect(await storedRun(response.headers.get("x-weir-run-id"))).toBeNull();
  });
});
