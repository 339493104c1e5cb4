import { beforeEach, describe, expect, it } from "vitest";
import { Scope } from "../../src/contract/scopes.ts";
import { newId } from "../../src/core/ids.ts";
import { callWeir, delta, event, events, scriptUpstream, storedRun } from "../support/call.ts";
import { accepted, background, getRun } from "../support/openaiRuns.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";

const origin = "https://app.example.com";
const hello = () => events(delta("Hello"), delta("", "stop"), event("[DONE]"));
const routes = (id: string) =>
  [
    ["GET", `/v1/runs/${id}`],
    ["GET", `/v1/runs/${id}/events`],
    ["POST", `/v1/runs/${id}/cancel`],
  ] as const;

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
});

async function ask([method, path]: readonly [string, string], secret?: string, headers: Record<string, string> = {}) {
  const { response, settled } = await callWeir(path, { method, headers, ...(secret !== undefined && { secret }) });
  const text = await response.text();
  await settled();
  return { status: response.status, headers: response.headers, text, error: errorOf(text) };
}

function errorOf(text: string): Record<string, unknown> | undefined {
  return text.startsWith("{") ? JSON.parse(text).error : undefined;
}

async function endedRun(key: TestKey): Promise<string> {
  using _sent = scriptUpstream(hello);
  const runId = await accepted(key);
  await expect.poll(() => storedRun(runId)).toMatchObject({ status: "succeeded" });
  return runId;
}

describe.each(routes("run_1").map(([method, path]) => `${method} ${path}`))("%s", (route) => {
  const at = routes("run_1").findIndex(([method, path]) => `${method} ${path}` === route);
  const of = (id: string) => routes(id)[at] ?? (["", ""] as const);

  it("is closed without a key, and to one that lacks the scope", async () => {
    expect(await ask(of("run_1"))).toMatchObject({ status: 401, error: { code: "unauthenticated" } });
    const scopes = Scope.options.filter((scope) => scope !== "completions:run");
    const key = await insertTestKey(project.principal.projectId, { scopes });
    expect(await ask(of("run_1"), key.secret)).toMatchObject({ status: 403, error: { code: "forbidden" } });
  });

  it("does not tell another project's run from a missing one, and leaves it as it is", async () => {
    const runId = await endedRun(project);
    const stranger = await insertTestProject();
    const before = await storedRun(runId);
    const missing = newId("run", 0);
    const [foreign, nobodys] = [await ask(of(runId), stranger.secret), await ask(of(missing), stranger.secret)];
    expect(foreign).toMatchObject({ status: 404, error: { code: "not_found", param: "id" } });
    expect(foreign.text.replaceAll(runId, "ID")).toBe(nobodys.text.replaceAll(missing, "ID"));
    expect(await ask(of("x".repeat(5_000)), stranger.secret)).toMatchObject({ status: 404 });
    expect(await storedRun(runId)).toEqual(before);
  });

  it("refuses other methods and names the right one", async () => {
    const [method, path] = of("run_1");
    const other = method === "GET" ? "POST" : "GET";
    const answer = await ask([other, path], project.secret);
    expect(answer).toMatchObject({ status: 405, error: { code: "method_not_allowed" } });
    expect(answer.headers.get("allow")).toBe(method);
  });
});

describe("a publishable key", () => {
  const template = { messages: [{ role: "user", content: "Hi {{name}}" }], model: "test-model" };
  let key: TestKey;
  beforeEach(async () => {
    key = await insertTestKey(project.principal.projectId, { kind: "publishable", origins: [origin] });
    const body = { name: "greet", content: template, listed: true };
    const { response } = await callWeir("/trpc/templates.create", { secret: project.secret, body });
    expect(response.status, await response.clone().text()).toBe(200);
  });
  const prompt = { messages: undefined, model: undefined, prompt: { id: "greet", variables: { name: "Ada" } } };

  it("runs a listed template and sees its own runs alone, from its own pages", async () => {
    using _sent = scriptUpstream(hello);
    const response = await background(key, prompt, { origin });
    expect(response.status).toBe(202);
    expect(response.headers.get("access-control-allow-origin")).toBe(origin);
    expect(response.headers.get("access-control-expose-headers")).toMatch(/x-weir-run-id.*location/);
    const runId = response.headers.get("x-weir-run-id") ?? "";
    await expect.poll(() => storedRun(runId)).toMatchObject({ status: "succeeded" });
    const others = await accepted(project);
    await expect.poll(() => storedRun(others)).toMatchObject({ status: "succeeded" });
    for (const route of routes(runId)) {
      const own = await ask(route, key.secret, { origin });
      expect(own.status).toBe(200);
      expect(own.headers.get("access-control-allow-origin")).toBe(origin);
    }
    for (const route of routes(others)) expect(await ask(route, key.secret, { origin })).toMatchObject({ status: 404 });
    expect(await getRun(project, runId)).toMatchObject({ id: runId, status: "succeeded" });
  });

  it.each([
    ["priority", { priority: 1 }],
    ["delay_ms", { delay_ms: 5 }],
    ["run_at", { run_at: "2999-01-01T00:00:00Z" }],
    ["model", { model: "test-model", prompt: undefined, messages: [{ role: "user", content: "raw" }] }],
  ])("may not set %s", async (param, body) => {
    using sent = scriptUpstream(hello);
    const response = await background(key, { ...prompt, ...body }, { origin });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: { code: "forbidden", param } });
    expect(sent).toHaveLength(0);
  });

  it("may resume from a page: the preflight allows Last-Event-ID", async () => {
    const headers = {
      origin,
      "access-control-request-method": "GET",
      "access-control-request-headers": "last-event-id",
    };
    const { response } = await callWeir("/v1/runs/run_1/events", { method: "OPTIONS", headers });
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-headers")).toContain("last-event-id");
  });
});

describe("where to go on", () => {
  it.each([
    ["Last-Event-ID", { "last-event-id": "soon" }, ""],
    ["after", {}, "?after=-1"],
    ["after", {}, "?after="],
  ])("is refused by the name of %s when it is no event's id", async (param, headers, query) => {
    const answer = await ask(["GET", `/v1/runs/run_1/events${query}`], project.secret, headers);
    expect(answer).toMatchObject({ status: 400, error: { code: "invalid_request", param } });
  });
});

describe("limits of a key", () => {
  it("hold for background runs, which tell them as relays do", async () => {
    using _sent = scriptUpstream(hello);
    const key = await insertTestKey(project.principal.projectId, { tokensPerDay: 1_000, requestsPerMinute: 600 });
    const { headers } = await background(key);
    expect(headers.get("x-ratelimit-limit-requests")).toBe("600");
    expect(headers.get("x-ratelimit-limit-tokens")).toBe("1000");
    await expect.poll(() => storedRun(headers.get("x-weir-run-id"))).toMatchObject({ status: "succeeded" });
  });
});
