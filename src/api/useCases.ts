import { limits } from "../contract/limits.ts";
import { type AskRate, admission, admitted } from "../core/admission.ts";
import { countingSettle } from "../core/budgets.ts";
import { checkCallback } from "../core/callbacks.ts";
import { completionUseCases } from "../core/completions.ts";
import { deliveryUseCases } from "../core/deliveries.ts";
import { endpointUseCases } from "../core/endpoints.ts";
import { eventUseCases } from "../core/events.ts";
import { hookUseCases } from "../core/hooks.ts";
import { idempotencyUseCases } from "../core/idempotency.ts";
import { newId } from "../core/ids.ts";
import { batchUseCases } from "../core/jobBatches.ts";
import { jobUseCases } from "../core/jobs.ts";
import { keyUseCases } from "../core/keys.ts";
import { findLiveTrigger } from "../core/liveTrigger.ts";
import { modelUseCases } from "../core/models.ts";
import { openaiRunUseCases } from "../core/openaiRuns.ts";
import { findOwnUpstreams } from "../core/ownUpstreams.ts";
import { findRecordedRun, runUseCases } from "../core/runs.ts";
import { noSecretBox, secretBox } from "../core/secretBox.ts";
import { forgetTold } from "../core/telling.ts";
import { templateUseCases } from "../core/templates.ts";
import type { TimeoutDefaults } from "../core/timeouts.ts";
import { triggerUseCases } from "../core/triggers.ts";
import { upstreamUseCases } from "../core/upstreamUseCases.ts";
import type { UseCases } from "../core/useCases.ts";
import type { Env, Settings } from "../env.ts";
import { log } from "../log.ts";
import { findDayUsage } from "../store/budgets.ts";
import { database } from "../store/db.ts";
import { endpointStore } from "../store/endpoints.ts";
import { eventStore } from "../store/events.ts";
import { idempotencyStore } from "../store/idempotency.ts";
import { batchStore } from "../store/jobBatches.ts";
import { jobStore } from "../store/jobs.ts";
import { keyStore } from "../store/keys.ts";
import { modelStore } from "../store/models.ts";
import { listRuns } from "../store/runList.ts";
import { sumUsage } from "../store/runStats.ts";
import { deleteRun, findModelAsked, findRun, openRun, rateRun, settleRun } from "../store/runs.ts";
import { templateStore } from "../store/templates.ts";
import { triggerStore } from "../store/triggers.ts";
import { upstreamStore } from "../store/upstreams.ts";
import { catalogue } from "../upstream/catalogue.ts";
import { callUpstream } from "../upstream/chat.ts";
import { routeModel } from "../upstream/route.ts";
import { simulatorFetch, simulatorModels } from "../upstream/simulator.ts";
import { endpointObjects } from "./endpoints.ts";
import { caches, circuits } from "./isolate.ts";
import { batchObjects } from "./jobBatches.ts";
import { jobObjects } from "./jobs.ts";
import { lazily } from "./lazily.ts";

export type Around = {
  waitUntil: (work: Promise<unknown>) => void;
  /** Where the caller has reached weir, a URL's `host`. */
  ownHost: string;
};

/** The composition root: binds the use cases to D1, the upstream and the clock. Each is made when it is asked for. */
export function bindUseCases(env: Env, settings: Settings, { waitUntil, ownHost }: Around): UseCases {
  const db = database(env.DB);
  const now = Date.now;
  const { UPSTREAM_BASE_URL: baseUrl, UPSTREAM_API_KEY: apiKey } = settings;
  const simulator = settings.SIMULATOR === "on";
  const served = [...(baseUrl ? catalogue : []), ...(simulator ? simulatorModels : [])];
  const box = settings.ENCRYPTION_KEY ? secretBox(settings.ENCRYPTION_KEY) : noSecretBox;
  const ownUpstreams = findOwnUpstreams({ ...upstreamStore(db), box, cache: caches.upstreams });
  const call = callUpstream(simulatorFetch, fetch);
  const admit = admission({
    findDayUsage: findDayUsage(db),
    cache: caches.usage,
    askRate: askRate(env),
    log,
    now,
  });
  const shared = lazily({
    objects: () => jobObjects(env.JOBS),
    endpoints: () => ({ ...endpointStore(db), endpointObjects: endpointObjects(env.ENDPOINTS) }),
    triggers: () => triggerStore(db),
  });
  const mayCallBack = () => checkCallback(shared.endpoints);
  const prepared = () => ({
    resolveTemplate: useCases.templates.resolve,
    routeModel: routeModel({ baseUrl, apiKey, simulator, models: served, ownUpstreams }),
    timeouts: timeoutsOf(settings),
  });
  const received = () => ({ ...prepared(), ...eventStore(db), startJob: shared.objects.start, admit, log, now });
  const useCases: UseCases = lazily({
    templates: () => templateUseCases({ ...templateStore(db), cache: caches.templates, now }),
    models: () =>
      modelUseCases({ ...modelStore(db), catalogue: () => served, ownUpstreams, cache: caches.prices, now }),
    completions: () => {
      const completions = completionUseCases({
        ...prepared(),
        priceOf: useCases.models.priceOf,
        callUpstream: call,
        openRun: openRun(db),
        settleRun: countingSettle(settleRun(db), caches.usage),
        policy: {
          perModel: settings.UPSTREAM_ATTEMPTS,
          pauseMs: settings.UPSTREAM_RETRY_PAUSE_MS,
          circuitFailures: settings.UPSTREAM_CIRCUIT_FAILURES,
        },
        circuits,
        openChannel: () => new IdentityTransformStream(),
        keepAlive: waitUntil,
        log,
      });
      return admitted(completions, admit);
    },
    jobs: () =>
      jobUseCases({
        ...prepared(),
        ...jobStore(db),
        objects: shared.objects,
        findRun: findRecordedRun(findRun(db), now),
        admit,
        checkCallback: mayCallBack(),
        log,
        now,
      }),
    batches: () =>
      batchUseCases({
        ...prepared(),
        ...batchStore(db),
        batchObjects: batchObjects(env.BATCHES),
        admit,
        checkCallback: mayCallBack(),
        log,
        now,
      }),
    openaiRuns: () =>
      openaiRunUseCases({ jobs: useCases.jobs, findRun: findRun(db), findModelAsked: findModelAsked(db) }),
    idempotency: () =>
      idempotencyUseCases({
        ...idempotencyStore(db),
        newClaimId: () => newId("req"),
        keepAlive: waitUntil,
        log,
        now,
      }),
    upstreams: () =>
      upstreamUseCases({
        ...upstreamStore(db),
        callUpstream: call,
        testTimeoutMs: limits.upstreamTestTimeoutMs,
        forgetUpstreams: (projectId) => caches.upstreams.forget(projectId),
        box,
        allowLoopback: settings.ALLOW_LOOPBACK_UPSTREAMS === "on",
        now,
      }),
    triggers: () =>
      triggerUseCases({
        ...prepared(),
        ...shared.triggers,
        checkCallback: mayCallBack(),
        forgetTrigger: (id) => caches.triggers.forget(id),
        box,
        now,
      }),
    events: () => eventUseCases({ ...received(), ...shared.triggers, box }),
    hooks: () =>
      hookUseCases({
        ...received(),
        findLiveTrigger: findLiveTrigger({ ...shared.triggers, box, cache: caches.triggers }),
        jobResult: useCases.jobs.result,
        askRate: askRate(env),
        keepAlive: waitUntil,
      }),
    endpoints: () =>
      endpointUseCases({
        ...shared.endpoints,
        box,
        allowLoopback: settings.WEBHOOKS_ALLOW_LOOPBACK === "true",
        ownHost,
        ownHosts: settings.OWN_HOSTS,
        log,
        now,
      }),
    deliveries: () => deliveryUseCases(shared.endpoints),
    keys: () => keyUseCases({ ...keyStore(db), forgetKey: (digest) => caches.keys.forget(digest), now }),
    runs: () =>
      runUseCases({
        listRuns: listRuns(db),
        findRun: findRun(db),
        rateRun: rateRun(db),
        deleteRun: deleteRun(db),
        sumUsage: sumUsage(db),
        forgetEvents: async (projectId, runId) => {
          await shared.objects.forget(runId, { projectId, keyId: null });
          const { findListeners, endpointObjects: told } = shared.endpoints;
          await forgetTold(findListeners, told.forgetRun)(projectId, runId);
        },
        now,
      }),
  });
  return useCases;
}

/** Each rate is a binding of its own, as a binding's limit is fixed. */
function askRate(env: Env): AskRate {
  const bindings = { 60: env.RATE_LIMIT_60, 600: env.RATE_LIMIT_600, 6000: env.RATE_LIMIT_6000 };
  return async (rate, key) => (await bindings[rate].limit({ key })).success;
}

function timeoutsOf(settings: Settings): TimeoutDefaults {
  return {
    headersMs: settings.UPSTREAM_HEADERS_TIMEOUT_MS,
    firstTokenMs: settings.UPSTREAM_FIRST_TOKEN_TIMEOUT_MS ?? null,
    idleMs: settings.UPSTREAM_IDLE_TIMEOUT_MS ?? null,
    totalMs: settings.UPSTREAM_TOTAL_TIMEOUT_MS,
    firstEventHoldMs: settings.FIRST_EVENT_HOLD_MS,
  };
}
