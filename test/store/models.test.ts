import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { Model, type Price } from "../../src/contract/models.ts";
import { TimedCache } from "../../src/core/cache.ts";
import { modelUseCases, type ProjectPrices } from "../../src/core/models.ts";
import type { OwnUpstream } from "../../src/core/ownUpstreams.ts";
import { database } from "../../src/store/db.ts";
import { modelStore } from "../../src/store/models.ts";
import { catalogue } from "../../src/upstream/catalogue.ts";
import { costOf, meteredD1 } from "../support/meteredD1.ts";
import { insertTestProject, type TestKey } from "../support/projects.ts";

const metered = meteredD1(env.DB);
const store = modelStore(database(metered));
const reference = "deepseek/deepseek-r1-distill-qwen-32b";
const price: Price = { inputMicrosPerMillion: 1_000_000, outputMicrosPerMillion: 2_000_000, currency: "USD" };
const listPrice: Price = { inputMicrosPerMillion: 3_750_000, outputMicrosPerMillion: 3_750_000, currency: "CNY" };

/** The use cases of an isolate of its own. */
const isolate = () =>
  modelUseCases({
    ...store,
    catalogue: () => catalogue,
    ownUpstreams: async () => own,
    cache: new TimedCache<ProjectPrices>(),
    now: Date.now,
  });

/** An upstream of the project's that maps these models. */
const ownUpstream = (name: string, models: Record<string, string>): OwnUpstream => ({
  name,
  baseUrl: "https://own.test/v1",
  models: new Map(Object.entries(models)),
  maxJobs: null,
  secrets: async () => ({ apiKey: null, headers: {} }),
});
let own: OwnUpstream[] = [];

let models: ReturnType<typeof isolate>;
let owner: TestKey["principal"];
let stranger: TestKey["principal"];

beforeEach(async () => {
  own = [];
  models = isolate();
  owner = (await insertTestProject()).principal;
  stranger = (await insertTestProject()).principal;
});

describe("the catalogue", () => {
  it("holds the reference model at its published price, and no price that was not published", () => {
    for (const model of catalogue) Model.parse(model);
    expect(new Set(catalogue.map((model) => model.id)).size).toBe(13);
    expect(catalogue[0]).toMatchObject({ id: reference, price: listPrice, contextTokens: 131_072 });
    expect(catalogue.slice(1).map((model) => model.price)).toEqual(Array(12).fill(null));
    expect(catalogue.every((model) => !model.simulated && /^[a-z-]+\/[a-z0-9.-]+$/.test(model.id))).toBe(true);
  });
});

describe("listing models", () => {
  it("shows the project's price in place of the catalogue's, to that project alone", async () => {
    await models.setPrice(owner, { model: reference, price });
    const mine = (await models.list(owner)).items.find((model) => model.id === reference);
    const theirs = (await models.list(stranger)).items.find((model) => model.id === reference);
    expect(mine?.price).toEqual(price);
    expect(theirs?.price).toEqual(listPrice);
    expect((await models.list(stranger)).items).toEqual(catalogue);
  });

  it("shows a model that is in no catalogue once it has a price", async () => {
    const set = await models.setPrice(owner, { model: "acme/own-1", price });
    expect(set).toMatchObject({ id: "acme/own-1", price, capabilities: [] });
    expect((await models.list(owner)).items.at(-1)).toEqual(set);
  });
});

describe("models of the project's own upstreams", () => {
  it("are listed once each, under the name that reaches them and with the upstream that serves them", async () => {
    own = [
      ownUpstream("acme", { fast: "a-1", [reference]: "a-2" }),
      ownUpstream("other", { fast: "b-1", slow: "b-2" }),
    ];
    const { items } = await models.list(owner);
    const served = items.filter((model) => model.upstream !== "default").map(({ id, upstream }) => [id, upstream]);
    expect(served).toEqual([
      [reference, "acme"],
      ["fast", "acme"],
      ["other/fast", "other"],
      ["slow", "other"],
    ]);
    for (const model of items) Model.parse(model);
    expect(new Set(items.map(({ id }) => id)).size).toBe(items.length);
  });

  it("cost what the project says, never what the default upstream's catalogue says", async () => {
    own = [ownUpstream("acme", { fast: "a-1", [reference]: "a-2" })];
    expect(await models.priceOf(owner.projectId, reference)).toBeNull();
    expect(await models.priceOf(owner.projectId, "acme/fast")).toBeNull();
    const set = await models.setPrice(owner, { model: "acme/fast", price });
    expect(set).toMatchObject({ id: "acme/fast", upstream: "acme", price });
    expect(await models.priceOf(owner.projectId, "acme/fast")).toEqual(price);
    expect((await models.list(owner)).items.at(-1)).toEqual(set);
    expect((await models.setPrice(owner, { model: reference, price: null })).price).toBeNull();
  });
});

describe("setting a price", () => {
  it("replaces the one before, and null goes back to the catalogue's", async () => {
    await models.setPrice(owner, { model: reference, price: listPrice });
    const set = await models.setPrice(owner, { model: reference, price });
    expect(set.price).toEqual(price);
    expect(await models.priceOf(owner.projectId, reference)).toEqual(price);
    const reset = await models.setPrice(owner, { model: reference, price: null });
    expect(reset.price).toEqual(listPrice);
    expect(await models.priceOf(owner.projectId, reference)).toEqual(listPrice);
  });

  it("takes a price of 0 for a price", async () => {
    const free: Price = { inputMicrosPerMillion: 0, outputMicrosPerMillion: 0, currency: "CNY" };
    await models.setPrice(owner, { model: reference, price: free });
    expect(await models.priceOf(owner.projectId, reference)).toEqual(free);
  });

  it("refuses one more than a project may set, but still changes those it has", async () => {
    await env.DB.prepare(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       INSERT INTO model_prices SELECT ?, 'bulk/' || i, 1, 1, 'CNY', 0 FROM n`,
    )
      .bind(limits.maxModelPrices, owner.projectId)
      .run();
    await expect(models.setPrice(owner, { model: "one/more", price })).rejects.toMatchObject({ code: "conflict" });
    await models.setPrice(owner, { model: "bulk/1", price });
    await models.setPrice(owner, { model: "bulk/2", price: null });
    await models.setPrice(owner, { model: "one/more", price });
    expect(await models.priceOf(owner.projectId, "one/more")).toEqual(price);
  });
});

describe("the price of a run", () => {
  it("is unknown for a model without one", async () => {
    expect(await models.priceOf(owner.projectId, "z-ai/glm-4.6")).toBeNull();
    expect(await models.priceOf(owner.projectId, "nobody/knows")).toBeNull();
  });

  it("reads nothing once it is warm, whatever the model", async () => {
    await models.setPrice(owner, { model: "acme/own-1", price });
    await models.priceOf(owner.projectId, reference);
    const before = metered.statements.length;
    expect(await models.priceOf(owner.projectId, "acme/own-1")).toEqual(price);
    expect(await models.priceOf(owner.projectId, reference)).toEqual(listPrice);
    expect(await models.priceOf(owner.projectId, "nobody/knows")).toBeNull();
    expect(metered.statements.length).toBe(before);
  });

  it("follows a change at once in the isolate that made it", async () => {
    await models.priceOf(owner.projectId, reference);
    await models.setPrice(owner, { model: reference, price });
    expect(await models.priceOf(owner.projectId, reference)).toEqual(price);
  });

  it("reads the rows of its own project only", async () => {
    await models.setPrice(owner, { model: "a/1", price: listPrice });
    for (const model of ["a/1", "a/2", "a/3", "a/4"]) await models.setPrice(stranger, { model, price });
    const before = metered.statements.length;
    expect(await isolate().priceOf(owner.projectId, "a/1")).toEqual(listPrice);
    expect(costOf(metered, before).rowsRead).toBeLessThanOrEqual(2);
  });
});
