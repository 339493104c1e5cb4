import { beforeEach, describe, expect, it } from "vitest";
import { delta, event, events, scriptUpstream, storedContents, storedRun, usageEvent } from "../support/call.ts";
import { submitJob, textOf, watchJob } from "../support/jobs.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

describe("a job", () => {
  it("is submitted, watched to its end, and on record", async () => {
    using sent = scriptUpstream(() =>
      events(delta("Hel"), delta("lo"), delta("", "stop"), usageEvent, event("[DONE]")),
    );
    const ticket = await submitJob(project);
    await using watching = await watchJob(project, ticket.runId);
    const told = await watching.rest();
    expect(told.map(({ seq }) => seq)).toEqual(told.map((_, at) => at + 1));
    expect(textOf(told)).toBe("Hello");
    expect(told.at(-1)).toMatchObject({ type: "done", run: { id: ticket.runId, status: "succeeded" } });
    expect(sent).toHaveLength(1);
    await expect.poll(() => storedRun(ticket.runId)).toMatchObject({ status: "succeeded", completion_tokens: 2 });
    expect((await storedContents(ticket.runId))?.answer).toContain("Hello");
  });
});
