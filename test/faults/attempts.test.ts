import { beforeAll, describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { chat, completion, delta, scriptUpstream, usageEvent } from "../support/call.ts";
import { controlled, finish, outcomeOf, refused, retrying } from "../support/faults.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});

describe("fault 2: all attempts together", () => {
  it("are bounded, however many fallbacks there are", async () => {
    using sent = scriptUpstream(() => refused(500));
    const outcome = await outcomeOf(await chat(secret, { fallbacks: ["a", "b", "c", "d", "e"] }, { env: retrying }));
    expect(outcome.status).toBe(502);
    expect(sent.length).toBeLessThanOrEqual(limits.maxAttempts);
  });

  it("heed the Retry-After of a 503 as well", async () => {
    using sent = scriptUpstream(() => (sent.length === 1 ? refused(503, { "retry-after": "1" }) : completion("ok")));
    const { attempts } = await outcomeOf(await chat(secret, {}, { env: retrying }));
    expect(Number(attempts[1]?.startedMs) - Number(attempts[0]?.startedMs)).toBeGreaterThanOrEqual(1_000);
  });
});

describe("fault 9: a connection that breaks after the finish reason", () => {
  it("is success like EOF and silence there", async () => {
    const upstream = controlled();
    using _sent = scriptUpstream(() => upstream.response);
    upstream.send(delta("all") + finish + usageEvent);
    const called = await chat(secret, { stream: true }, { env: retrying });
    upstream.fail(new Error("reset"));
    const outcome = await outcomeOf(called);
    expect(outcome.done).toBe(true);
    expect(outcome.run).toMatchObject({ status: "succeeded", completion_tokens: 2 });
  });
});
