import { beforeEach, describe, expect, it } from "vitest";
import {
  batchStatus,
  callBatches,
  echo,
  ended,
  makeTemplate,
  resultPage,
  saying,
  storedRows,
  submitBatch,
  wordOf,
} from "../support/batches.ts";
import { callWeir, scriptUpstream, storedRun } from "../support/call.ts";
import { callJobs } from "../support/jobs.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";

let project: TestKey;
beforeEach(async () => {
  project = await insertTestProject();
  await makeTemplate(project);
});

describe("a batch", () => {
  it("runs one job per item and gives their answers in the order of the items", async () => {
    using sent = scriptUpstream(echo);
    const items = [
      { variables: { word: "one" }, key: "a", metadata: { row: "1" } },
      { variables: { word: '二 "two"' }, key: "b" },
      { variables: { word: "three" } },
    ];
    const ticket = await submitBatch(project, { items, metadata: { team: "x", row: "0" } });
    expect(ticket.batchId).toMatch(/^bat_/);
    expect(ticket).toMatchObject({ total: 3, runIds: [...ticket.runIds].sort() });
    const status = await ended(project, ticket.batchId);
    expect(status).toMatchObject({ total: 3, succeeded: 3, failed: 0, createdAt: ticket.createdAt });
    const { items: results, nextCursor } = await resultPage(project, { batchId: ticket.batchId });
    expect(nextCursor).toBeNull();
    expect(results).toEqual(
      items.map(({ variables, key }, index) => ({
        ...{ index, key: key ?? null, runId: ticket.runIds[index], status: "succeeded", error: null },
        ...{ content: variables.word, outputValid: null },
      })),
    );
    expect(sent).toHaveLength(3);
    const { response } = await callWeir(`/trpc/runs.get?input={"id":"${ticket.runIds[0]}"}`, project);
    const { result } = (await response.json()) as { result: { data: { run: unknown } } };
    expect(result.data.run).toMatchObject({ batchId: ticket.batchId, metadata: { team: "x", row: "1" } });
  });

  it("takes messages instead of a template, shared or an item's own", async () => {
    using sent = scriptUpstream(echo);
    const messages = (content: string) => [{ role: "user", content }];
    const input = { model: "test-model", messages: messages("shared"), items: [{}, { messages: messages("own") }] };
    const answer = await callBatches<{ batchId: string }>("submitBatch", project, { input });
    await ended(project, answer.data.batchId);
    expect(sent.map(wordOf).sort()).toEqual(["own", "shared"]);
  });

  it("tells the parsed output of an answer that fits its schema, and where one does not", async () => {
    using _ = scriptUpstream(echo);
    const schema = { type: "object", required: ["n"] };
    const params = { response_format: { type: "json_schema", json_schema: { name: "n", schema } } };
    const { batchId } = await submitBatch(project, { params, items: saying('{"n":1}', "{}") });
    await ended(project, batchId);
    const { items } = await resultPage(project, { batchId });
    expect(items).toMatchObject([{ output: { n: 1 }, outputValid: true }, { outputValid: false }]);
  });

  it("goes on where an item fails", async () => {
    using _ = scriptUpstream((sent) =>
      wordOf(sent) === "bad" ? Response.json({ error: { message: "no" } }, { status: 400 }) : echo(sent),
    );
    const { batchId } = await submitBatch(project, { items: saying("a", "bad", "c") });
    expect(await ended(project, batchId)).toMatchObject({ total: 3, succeeded: 2, failed: 1 });
    const { items } = await resultPage(project, { batchId });
    expect(items).toMatchObject([
      { status: "succeeded", content: "a" },
      { status: "failed", content: null, error: { code: "invalid_request" } },
      { status: "succeeded", content: "c" },
    ]);
  });

  it("leaves out of a repetition what belongs to the batch", async () => {
    using _ = scriptUpstream(echo);
    const { batchId, runIds } = await submitBatch(project, { items: saying("a") });
    await ended(project, batchId);
    const again = await callJobs<{ runId: string }>("retry", project, { runId: runIds[0] });
    await expect.poll(() => storedRun(again.data.runId)).toMatchObject({ status: "succeeded", batch_id: null });
    expect(await batchStatus(project, batchId)).toMatchObject({ total: 1 });
  });
});

describe("a batch with an item at fault", () => {
  const good = { variables: { word: "a" } };
  const pairs = (name: string) => Object.fromEntries(Array.from({ length: 9 }, (_, at) => [`${name}${at}`, ""]));

  it.each([
    ["a variable of the wrong type", { items: [good, ...saying(7)] }, "items.1.variables.word"],
    ["a missing variable", { items: [good, good, {}] }, "items.2.variables.word"],
    ["an unknown variable", { items: [{ variables: { word: "a", x: 1 } }] }, "items.0.variables.x"],
    ["an unknown field", { items: [good, { ...good, model: "m" }] }, "items.1.model"],
    ["a key that another has", { items: [{ ...good, key: "k" }, good, { ...good, key: "k" }] }, "items.2.key"],
    [
      "too much metadata together with the batch's",
      { metadata: pairs("a"), items: [good, { ...good, metadata: pairs("b") }] },
      "items.1.metadata",
    ],
    ["too many items", { items: Array.from({ length: 1_001 }, () => good) }, "items"],
    ["no items", { items: [] }, "items"],
    ["an unknown template", { template: "nobody", items: [good] }, "template"],
  ])("is refused whole for %s", async (_, input, param) => {
    using sent = scriptUpstream(echo);
    const before = await storedRows();
    const answer = await callBatches("submitBatch", project, { input: { template: "say", ...input } });
    expect(answer.error).toMatchObject({ param });
    expect([400, 404]).toContain(answer.status);
    expect(answer.error?.message).not.toMatch(/ variables\.\w+:/);
    expect(await storedRows()).toEqual(before);
    expect(sent).toHaveLength(0);
  });

  it("is refused when its items are too much together", async () => {
    const word = "long ".repeat(40_000);
    await callWeir("/trpc/templates.create", {
      secret: project.secret,
      body: {
        name: "long",
        content: { messages: [{ role: "user", content: word.slice(0, 60_000) }], model: "test-model" },
      },
    });
    const input = { template: "long", items: Array.from({ length: 400 }, () => ({})) };
    const answer = await callBatches("submitBatch", project, { input });
    expect(answer).toMatchObject({ status: 413, error: { code: "too_large", param: "items" } });
  });

  it("is not taken from a publishable key", async () => {
    const key = await insertTestKey(project.principal.projectId, { kind: "publishable" });
    const answer = await callBatches("submitBatch", key, { input: { template: "say", items: saying("a") } });
    expect(answer.error).toMatchObject({ code: "forbidden" });
  });
});
