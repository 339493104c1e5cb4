import type { BatchItem, SubmitBatchInput } from "../contract/jobBatches.ts";
import { limits } from "../contract/limits.ts";
import { type CompletionRequest, fromCreateInput } from "./completionRequest.ts";
import { AppError } from "./errors.ts";
import { newId } from "./ids.ts";
import type { NewBatchJob } from "./jobBatchPorts.ts";
import { type JobSpec, type JobTerms, specOf, storedJson } from "./jobSpec.ts";
import { type PreparePorts, prepare } from "./prepare.ts";
import type { Principal } from "./principal.ts";

export type SubmittedBatch = { input: SubmitBatchInput; terms: JobTerms; batchId: string; nowMs: number };

/**
 * Validates and renders every item, which costs nothing but time. Throws for the first that is at fault, naming
 * `items.N`, and `too_large` when they take more than `limits.maxBatchBytes` together.
 */
export async function renderedJobs(
  ports: PreparePorts,
  principal: Principal,
  batch: SubmittedBatch,
): Promise<NewBatchJob[]> {
  const shared = lookedUpOnce(ports);
  const encoder = new TextEncoder();
  const jobs: NewBatchJob[] = [];
  let sum = 0;
  for (const [at, item] of batch.input.items.entries()) {
    try {
      const { spec, request } = await renderedJob(shared, principal, { batch, item, at });
      const json = storedJson({ spec, request });
      sum += encoder.encode(json).length;
      jobs.push({ start: spec.start, itemKey: item.key ?? null, json });
    } catch (thrown) {
      throw ofItem(thrown, at);
    }
    if (sum > limits.maxBatchBytes)
      throw new AppError("too_large", `A batch may take ${limits.maxBatchBytes} bytes once it is rendered: split it.`, {
        param: "items",
      });
  }
  return jobs;
}

type Rendering = { batch: SubmittedBatch; item: BatchItem; at: number };

async function renderedJob(
  ports: PreparePorts,
  principal: Principal,
  { batch, item, at }: Rendering,
): Promise<{ spec: JobSpec; request: CompletionRequest | null }> {
  const { input, terms, batchId, nowMs } = batch;
  const { template, version, model, params, fallbacks, timeouts } = input;
  const metadata = { ...input.metadata, ...item.metadata };
  if (Object.keys(metadata).length > limits.maxMetadataPairs)
    throw new AppError("invalid_request", `items.${at}.metadata: at most ${limits.maxMetadataPairs} pairs in all`, {
      param: `items.${at}.metadata`,
    });
  const { variables } = item;
  const messages = item.messages ?? input.messages;
  const own = { variables, messages, metadata };
  const asked = fromCreateInput({ template, version, model, params, fallbacks, timeouts, ...own });
  const request = { ...asked, stream: true };
  const places = { ...asked.params, variables: `items.${at}.variables` };
  const prepared = await prepare(ports, principal, { ...request, params: places });
  // One time for all, so that their order is that of their ids.
  const start = { ...prepared.start, id: newId("run", nowMs), createdAtMs: nowMs, batchId };
  return { spec: specOf(principal, { ...prepared, start }, terms), request: request.template && request };
}

/** The items share a template and models: what is looked up for the first one serves all. */
function lookedUpOnce(ports: PreparePorts): PreparePorts {
  let template: ReturnType<PreparePorts["resolveTemplate"]> | null = null;
  const routes = new Map<string, ReturnType<PreparePorts["routeModel"]>>();
  return {
    ...ports,
    resolveTemplate: (...reference) => (template ??= ports.resolveTemplate(...reference)),
    routeModel: (projectId, model) => {
      const known = routes.get(model) ?? ports.routeModel(projectId, model);
      routes.set(model, known);
      return known;
    },
  };
}

/** What is at fault with an item's own fields is named by the item; what it shares with the others has its own name. */
function ofItem(thrown: unknown, at: number): unknown {
  if (!(thrown instanceof AppError) || !["invalid_request", "too_large"].includes(thrown.code)) return thrown;
  if (thrown.param !== null && thrown.param !== "messages") return thrown;
  const param = thrown.param === null ? `items.${at}` : `items.${at}.${thrown.param}`;
  const message = thrown.param === null ? `${param}: ${thrown.message}` : thrown.message.replace(thrown.param, param);
  return new AppError(thrown.code, message, { param, cause: thrown });
}
