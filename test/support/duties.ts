import { newId, newUnguessableId } from "../../src/core/ids.ts";

/** A word in everything the owner has, so that no answer to a stranger may hold it unasked. */
export const mark = "ownermark";
export const content = { messages: [{ role: "user", content: `${mark} {{name}}` }], model: "sim/echo" };

/** What the owner has, or what nobody has. */
export type Things = {
  template: string;
  snippet: string;
  runId: string;
  liveRunId: string;
  jobId: string;
  batchId: string;
  keyId: string;
  upstreamId: string;
  triggerId: string;
  eventId: string;
  endpointId: string;
  deliveryId: string;
};

/**
 * What tenancy means for a procedure. `names`: calls that name a thing of a project, which must be `not_found` to all
 * others. `lists`: calls that show the owner's things to the owner and none of them to others. `apart`: why neither
 * applies, or does not say all; such procedures have their own test below.
 */
export type Duty = {
  names?: (things: Things) => unknown[];
  lists?: (things: Things) => unknown[];
  apart?: string;
};

const byRun = (extra: object = {}) => ({
  names: ({ runId, liveRunId, jobId }: Things) => [runId, liveRunId, jobId].map((id) => ({ runId: id, ...extra })),
});
const byBatch = () => ({ names: ({ batchId }: Things) => [{ batchId }] });
const byTrigger = () => ({ names: ({ triggerId }: Things) => [{ id: triggerId }] });
const byTemplate = (extra: object = {}) => ({ names: ({ template }: Things) => [{ name: template, ...extra }] });
const byEndpoint = () => ({ names: ({ endpointId }: Things) => [{ id: endpointId }] });
const byDelivery = () => ({ names: ({ endpointId, deliveryId: id }: Things) => [{ endpointId, id }] });
const including = (snippet: string) => ({
  messages: [{ role: "user", content: `{{> ${snippet}}}` }],
  model: "sim/echo",
});

export const duties: Record<string, Duty> = {
  "templates.create": { names: ({ snippet }) => [{ name: "mine/includes", content: including(snippet) }] },
  "templates.save": {
    names: ({ template, snippet }) => [
      { name: template, content },
      { name: "mine", content: including(snippet) },
    ],
  },
  "templates.get": { names: ({ template }) => [{ name: template }, { name: template, version: 1 }] },
  "templates.list": { lists: () => [{}, { query: mark }, { query: mark, archived: true }] },
  "templates.versions": byTemplate(),
  "templates.diff": byTemplate({ from: 1, to: 2 }),
  "templates.label": byTemplate({ label: "production", version: 2 }),
  "templates.labelHistory": byTemplate(),
  "templates.render": {
    names: ({ template, snippet }) => [{ name: template, variables: { name: "x" } }, { content: including(snippet) }],
  },
  "templates.archive": byTemplate(),
  "templates.restore": byTemplate(),
  "completions.create": {
    names: ({ template }) => [
      { template, variables: { name: "x" } },
      { template, version: "latest" },
    ],
  },
  "jobs.submit": {
    names: ({ template, endpointId }) => [
      { model: "sim/echo", messages: content.messages, callback: { endpointId } },
      { template, variables: { name: "x" } },
      { template, version: "latest", idempotencyKey: "k" },
    ],
  },
  "jobs.watch": byRun(),
  "jobs.result": byRun({ waitMs: 0 }),
  "jobs.cancel": byRun(),
  "jobs.retry": byRun(),
  "jobs.submitBatch": {
    names: ({ template, endpointId }) => [
      { model: "sim/echo", messages: content.messages, items: [{}], callback: { endpointId } },
      { template, items: [{ variables: { name: "x" } }] },
      { template, version: 1, items: [{}] },
    ],
  },
  "jobs.batch": byBatch(),
  "jobs.batchResults": byBatch(),
  "jobs.cancelBatch": byBatch(),
  "runs.list": {
    lists: ({ template, keyId }) => [
      {},
      { template },
      { template, version: 1 },
      { keyId },
      { text: mark },
      { metadata: { team: mark } },
      { model: `${mark}/model` },
      { status: "succeeded" },
      { status: "running" },
      { source: "trpc" },
    ],
  },
  "runs.get": { names: ({ runId, liveRunId }) => [{ id: runId }, { id: liveRunId }] },
  "runs.stats": {
    lists: ({ template, keyId }) => [
      { groupBy: "template" },
      { groupBy: "version", template },
      { groupBy: "model" },
      { groupBy: "key", keyId },
    ],
  },
  "runs.rate": {
    names: ({ runId, liveRunId }) => [
      { id: runId, score: 1 },
      { id: liveRunId, score: null },
    ],
  },
  "runs.delete": { names: ({ runId, liveRunId }) => [{ id: runId }, { id: liveRunId }] },
  "models.list": { lists: () => [undefined] },
  "models.setPrice": { apart: "names a model, which belongs to nobody" },
  "upstreams.create": { apart: "makes an upstream in the caller's own project and names nothing" },
  "upstreams.list": { lists: () => [{}] },
  "upstreams.update": {
    names: ({ upstreamId }) => [
      { id: upstreamId },
      { id: upstreamId, name: "mine" },
      { id: upstreamId, baseUrl: "https://elsewhere.test/v1", apiKey: "k", headers: {} },
    ],
  },
  "upstreams.test": { names: ({ upstreamId }) => [{ id: upstreamId, model: "m" }] },
  "upstreams.archive": { names: ({ upstreamId }) => [{ id: upstreamId }] },
  "triggers.create": {
    names: ({ template, endpointId }) => [
      { name: "mine", scheme: "github", template, variables: { name: "text" } },
      { name: "mine", scheme: "github", template: "mine", callback: { endpointId } },
    ],
  },
  "triggers.list": { lists: () => [{}] },
  "triggers.get": byTrigger(),
  "triggers.update": {
    names: ({ triggerId, template }) => [
      { id: triggerId, name: "mine" },
      { id: triggerId, template, variables: {} },
    ],
  },
  "triggers.preview": {
    names: ({ triggerId, eventId }) => [
      { id: triggerId, sample: { body: {} } },
      { id: triggerId, eventId },
    ],
  },
  "triggers.rotateSecret": byTrigger(),
  "triggers.archive": byTrigger(),
  "triggers.events": { names: ({ triggerId }) => [{ triggerId }, { triggerId, status: "failed" }] },
  "triggers.replay": { names: ({ eventId }) => [{ eventId }] },
  "keys.create": { apart: "makes a key in the caller's own project and names nothing" },
  "keys.list": { lists: () => [{}] },
  "keys.rotate": { names: ({ keyId }) => [{ id: keyId, overlapSeconds: 0 }, { id: keyId }] },
  "keys.revoke": { names: ({ keyId }) => [{ id: keyId }] },
  "endpoints.create": { apart: "makes an endpoint in the caller's own project and names nothing" },
  "endpoints.list": { lists: () => [{}] },
  "endpoints.get": byEndpoint(),
  "endpoints.update": {
    names: ({ endpointId }) => [
      { id: endpointId },
      { id: endpointId, url: "https://elsewhere.test/", enabled: true },
      { id: endpointId, enabled: false },
    ],
  },
  "endpoints.rotateSecret": byEndpoint(),
  "endpoints.test": byEndpoint(),
  "endpoints.archive": byEndpoint(),
  "endpoints.deliveries.list": { names: ({ endpointId, jobId }) => [{ endpointId }, { endpointId, runId: jobId }] },
  "endpoints.deliveries.get": byDelivery(),
  "endpoints.deliveries.replay": byDelivery(),
};

/** Same lengths and shapes as the owner's, but nobody's. */
export const nobodys = (): Things => ({
  template: "nobodymark/greeting",
  snippet: "nobodymark/snippet",
  runId: newId("run"),
  liveRunId: newId("run"),
  jobId: newId("run"),
  batchId: newId("bat"),
  keyId: newId("key"),
  upstreamId: newId("ups"),
  triggerId: newUnguessableId("trg"),
  eventId: newId("evt"),
  endpointId: newId("end"),
  deliveryId: newId("dlv"),
});
