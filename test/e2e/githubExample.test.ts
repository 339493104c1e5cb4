import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createTRPCClient, httpBatchLink } from "@trpc/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AppRouter } from "../../src/api/trpc/router.ts";
import { projectRoot } from "../../src/local/project.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const exec = promisify(execFile);

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** As whoever reads the README runs it: a process of its own, which ends by itself. */
async function runExample(env: Record<string, string> = {}) {
  const options = { cwd: projectRoot, timeout: 50_000 };
  const { stdout, stderr } = await exec("npm", ["run", "--silent", "example:github"], {
    ...options,
    env: { ...process.env, WEIR_STATE_DIR: server.stateDir, ...env },
  });
  expect(stderr).toBe("");
  return stdout;
}

describe("the example of a GitHub issue", () => {
  it("takes the event in, is told of the run, and posts the summary to the issue it came from", async () => {
    const printed = await runExample();
    const [runId] = /run_[0-9a-z]{26}/.exec(printed) ?? [];
    expect(printed).toContain(`an issue is opened 202, accepted, ${runId}`);
    expect(printed).toContain(`the same again     200, known already, ${runId}`);
    expect(printed).toContain("it is closed       202, ignored\n");
    expect(printed).toContain(`run.succeeded of ${runId}, about octo-org/turbine#42`);
    expect(printed).toContain("POST /repos/octo-org/turbine/issues/42/comments");
    // The simulator's answer is the issue itself; what looks like a template in it has stayed as it was.
    expect(printed).toContain("| Gate 3 stays open after a restart\n");
    expect(printed).toContain("does not react to {{close}} until it is power-cycled. 重启后闸门仍然打开。\n");
    expect(printed).toContain("delivery  delivered at attempt 1, answered 204");
    expect(printed).toContain("events    ignored, accepted");
    const headers = { authorization: `Bearer ${server.secretKey}` };
    const weir = createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: `${server.url}/trpc`, headers })] });
    const about = { repository: "octo-org/turbine", issue: "42" };
    const { items } = await weir.runs.list.query({ metadata: about });
    expect(items).toMatchObject([{ id: runId, status: "succeeded", source: "webhook", simulated: true }]);
  });

  it("leaves nothing behind that a second time would stumble over", async () => {
    const headers = { authorization: `Bearer ${server.secretKey}` };
    const weir = createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: `${server.url}/trpc`, headers })] });
    for (let times = 0; times < 2; times += 1)
      expect(await runExample()).toContain("template  issue-summary, version 1\n");
    for (const list of [weir.triggers.list, weir.endpoints.list]) expect((await list.query({})).items).toEqual([]);
  });

  it("says what is missing where no weir is running", async () => {
    const failed = await runExample({ WEIR_STATE_DIR: "/nowhere" }).catch((thrown: unknown) => thrown);
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining("run npm start first") });
  });
});
