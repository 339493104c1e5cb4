import type { Callback } from "../contract/endpoints.ts";
import type { Price } from "../contract/models.ts";
import type { AttemptPolicy } from "../core/attempts.ts";
import { TimedCache } from "../core/cache.ts";
import { Circuits } from "../core/circuit.ts";
import type { FindListeners } from "../core/endpointPorts.ts";
import type { Batch } from "../core/jobBatchPorts.ts";
import type { JobSlots } from "../core/jobSlots.ts";
import { modelUseCases, type ProjectPrices } from "../core/models.ts";
import { findOwnUpstreams, sizeOfUpstreams } from "../core/ownUpstreams.ts";
import type { SettleRun } from "../core/runRecord.ts";
import { noSecretBox, secretBox } from "../core/secretBox.ts";
import type { AcceptNotices } from "../core/telling.ts";
import type { CallUpstream, RouteModel } from "../core/upstreams.ts";
import { type Env, settingsOf } from "../env.ts";
import { database } from "../store/db.ts";
import { endpointStore } from "../store/endpoints.ts";
import { jobStore } from "../store/jobs.ts";
import { modelStore } from "../store/models.ts";
import { settleRunAlone } from "../store/runs.ts";
import { upstreamStore } from "../store/upstreams.ts";
import { catalogue } from "../upstream/catalogue.ts";
import { callUpstream } from "../upstream/chat.ts";
import { routeModel } from "../upstream/route.ts";
import { simulatorFetch, simulatorModels } from "../upstream/simulator.ts";
import type { BatchActor } from "./batchActor.ts";
import type { EndpointActor } from "./endpointActor.ts";
import { callObject } from "./objectCall.ts";
import type { ProjectGate } from "./projectGate.ts";

/** What a job's actor works with. */
export type JobBindings = {
  routeModel: RouteModel;
  callUpstream: CallUpstream;
  priceOf: (projectId: string, model: string) => Promise<Price | null>;
  policy: AttemptPolicy;
  circuits: Circuits;
  settleRun: SettleRun;
  markRunning: (projectId: string, runId: string) => Promise<void>;
  forgetSpec: (projectId: string, runId: string) => Promise<void>;
  slotsOf: (projectId: string) => JobSlots;
  findListeners: FindListeners;
  acceptNotices: AcceptNotices;
  /** See `BatchActor.ended`. */
  tellBatch: (batch: Batch, callback: Callback | undefined) => Promise<void>;
};

/** What this isolate remembers of D1 and of its upstreams' health, for all its jobs. */
const caches = {
  prices: new TimedCache<ProjectPrices>({ alone: true }),
  upstreams: new TimedCache({ sizeOf: sizeOfUpstreams, alone: true }),
};
const circuits = new Circuits();

/** Binds a job to D1, the upstreams and the gates. */
export function jobBindings(env: Env): JobBindings {
  const settings = settingsOf(env);
  const db = database(env.DB);
  const { UPSTREAM_BASE_URL: baseUrl, UPSTREAM_API_KEY: apiKey } = settings;
  const simulator = settings.SIMULATOR === "on";
  const served = [...(baseUrl ? catalogue : []), ...(simulator ? simulatorModels : [])];
  const box = settings.ENCRYPTION_KEY ? secretBox(settings.ENCRYPTION_KEY) : noSecretBox;
  const ownUpstreams = findOwnUpstreams({ ...upstreamStore(db), box, cache: caches.upstreams });
  const models = modelUseCases({
    ...modelStore(db),
    catalogue: () => served,
    ownUpstreams,
    cache: caches.prices,
    now: Date.now,
  });
  const { markRunning, forgetSpec } = jobStore(db);
  const batches = env.BATCHES as DurableObjectNamespace<BatchActor>;
  return {
    routeModel: routeModel({ baseUrl, apiKey, simulator, models: served, ownUpstreams }),
    callUpstream: callUpstream(simulatorFetch, (request) => fetch(request)),
    priceOf: models.priceOf,
    policy: {
      perModel: settings.UPSTREAM_ATTEMPTS,
      pauseMs: settings.UPSTREAM_RETRY_PAUSE_MS,
      circuitFailures: settings.UPSTREAM_CIRCUIT_FAILURES,
    },
    circuits,
    settleRun: settleRunAlone(db),
    markRunning,
    forgetSpec,
    slotsOf: (projectId) => projectSlots(env.GATES, projectId),
    findListeners: endpointStore(db).findListeners,
    acceptNotices: acceptNotices(env),
    tellBatch: (batch, callback) =>
      callObject(() => batches.get(batches.idFromName(batch.batchId)).ended(batch, callback)),
  };
}

function projectSlots(namespace: DurableObjectNamespace, projectId: string): JobSlots {
  const gates = namespace as DurableObjectNamespace<ProjectGate>;
  const gate = () => gates.get(gates.idFromName(projectId));
  return {
    requestSlot: (runId, request) => callObject(() => gate().requestSlot(runId, request)),
    renewSlot: (runId) => callObject(() => gate().renewSlot(runId)),
    releaseSlot: (runId) => callObject(() => gate().releaseSlot(runId)),
  };
}

/** Hands messages over to endpoints' objects. */
export function acceptNotices(env: Env): AcceptNotices {
  const endpoints = env.ENDPOINTS as DurableObjectNamespace<EndpointActor>;
  return (owner, notices, keptMs) =>
    callObject(() => endpoints.get(endpoints.idFromName(owner.endpointId)).accept(owner, notices, keptMs));
}
