import { Webhook } from "standardwebhooks";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { storedRun } from "../support/call.ts";
import { deliveriesOf, hookUrl, makeEndpoint, scriptReceivers } from "../support/endpoints.ts";
import { submitJob } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

const ok = () => new Response(null, { status: 204 });

describe("an endpoint that listens for an event", () => {
  it("is told of a job's end by a signed message, which the reference library verifies", async () => {
    using received = scriptReceivers(ok);
    const { id, secret } = await makeEndpoint(project, { events: ["run.succeeded"] });
    const { runId } = await submitJob(project, { metadata: { team: "a" } });
    await vi.waitUntil(() => received.length === 1);
    const [{ url, headers, body, message }] = received as unknown as [(typeof received)[0]];
    expect(url).toBe(hookUrl);
    new Webhook(secret).verify(body, Object.fromEntries(headers));
    expect(message).toMatchObject({
      type: "run.succeeded",
      data: {
        runId,
        status: "succeeded",
        model: { asked: "test-model", answered: "vendor/answered" },
        usage: { promptTokens: 3, completionTokens: 2 },
        finishReason: "stop",
        metadata: { team: "a" },
        text: "Hello",
        truncated: false,
      },
    });
    expect(await storedRun(runId)).toMatchObject({ status: "succeeded" });
    await expect
      .poll(() => deliveriesOf(project, id))
      .toMatchObject([
        { id: headers.get("webhook-id"), runId, event: "run.succeeded", status: "delivered", attempts: 1 },
      ]);
  });
});
