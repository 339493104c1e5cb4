import { describe, expect, it } from "vitest";
import type { JobResult } from "../../src/contract/jobs.ts";
import type { RunWithContents } from "../../src/contract/runs.ts";
import { delta, event, events, scriptUpstream } from "../support/call.ts";
import { done, post, standardHeaders, triggerProject } from "../support/triggers.ts";

const hello = () => events(delta("Hel"), delta("lo"), delta("", "stop"), event("[DONE]"));

describe("a signed event", () => {
  it("is answered with 202, its id and its run's, and runs the template with what it says", async () => {
    using sent = scriptUpstream(hello);
    const { key, id, secret, events: received } = await triggerProject({ priority: 7, params: { temperature: 0.5 } });
    const body = JSON.stringify({ text: "hi {{there}}" });
    const { status, answer, headers } = await post(id, body, await standardHeaders(secret, body));
    expect(status).toBe(202);
    expect(answer).toEqual({
      eventId: expect.stringMatching(/^evt_/),
      runId: expect.stringMatching(/^run_/),
      status: "accepted",
      duplicate: false,
    });
    expect(headers.get("x-weir-run-id")).toBe(answer.runId);
    expect(await done<JobResult>(key, "jobs.result", { runId: answer.runId })).toMatchObject({
      status: "succeeded",
      content: "Hello",
    });
    expect(sent).toHaveLength(1);
    expect(sent[0]?.body).toMatchObject({
      messages: [{ role: "user", content: "Say hi {{there}}" }],
      temperature: 0.5,
    });
    const { run } = await done<RunWithContents>(key, "runs.get", { id: answer.runId });
    expect(run).toMatchObject({
      source: "webhook",
      keyId: id,
      metadata: { trigger: id, event: answer.eventId },
      template: { name: "say", version: 1, label: "production" },
    });
    expect(await received()).toMatchObject([
      { id: answer.eventId, triggerId: id, runId: answer.runId, status: "accepted", senderId: "msg_1", error: null },
    ]);
  });
});
