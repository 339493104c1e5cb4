import { limits } from "../contract/limits.ts";
import { type AskRate, admission, admitted } from "../core/admission.ts";
import { type Authenticate, authenticate, type RememberedKey } from "../core/auth.ts";
import { countingSettle, type DayUsage } from "../core/budgets.ts";
import { TimedCache } from "../core/cache.ts";
import { checkCallback } from "../core/callbacks.ts";
import { Circuits } from "../core/circuit.ts";
import { completionUseCases } from "../core/completions.ts";
import { deliveryUseCases } from "../core/deliveries.ts";
import { endpointUseCases } from "../core/endpoints.ts";
import type { AppError } from "../core/errors.ts";
import { eventUseCases } from "../core/events.ts";
import { hookUseCases } from "../core/hooks.ts";
import { idempotencyUseCases } from "../core/idempotency.ts";
import { newId } from "../core/ids.ts";
import { batchUseCases } from "../core/jobBatches.ts";
import { jobUseCases } from "../core/jobs.ts";
import { keyUseCases } from "../core/keys.ts";
import { findLiveTrigger, sizeOfLiveTrigger } from "../core/liveTrigger.ts";
import { modelUseCases, type ProjectPrices } from "../core/models.ts";
import { openaiRunUseCases } from "../core/openaiRuns.ts";
import { findOwnUpstreams, sizeOfUpstreams } from "../core/ownUpstreams.ts";
import type { Principal } from "../core/principal.ts";
import { findRecordedRun, runUseCases } from "../core/runs.ts";
import { noSecretBox, secretBox } from "../core/secretBox.ts";
import { forgetTold } from "../core/telling.ts";
import { sizeOfTemplate } from "../core/templateResolve.ts";
import { templateUseCases } from "../core/templates.ts";
import type { TimeoutDefaults } from "../core/timeouts.ts";
import { triggerUseCases } from "../core/triggers.ts";
import { upstreamUseCases } from "../core/upstreamUseCases.ts";
import type { UseCases } from "../core/useCases.ts";
import { type Env, type Settings, settingsOf } from "../env.ts";
import { log, logFailure } from "../log.ts";
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
import { presentedKey } from "./auth.ts";
import { endpointObjects } from "./endpoints.ts";
import { batchObjects } from "./jobBatches.ts";
import { jobObjects } from "./jobs.ts";

/** One request's view of weir; doors take what they need from here and know nothing of storage. */
export type RequestContext = {
  requestId: string;
  /** The caller; looked up once, however often it is asked for. */
  authenticate: () => Promise<Principal>;
  /** The caller if `authenticate` has succeeded. */
  principal: () => Principal | null;
  useCases: UseCases;
  /** Aborts when the client is known to have left. */
  signal: AbortSignal;
  /** Logs what is our fault; what is the caller's is told to the caller. */
  logError: (error: AppError) => void;
};

/** What an error's answer needs of its request. */
export type Told = Pick<RequestContext, "requestId" | "logError">;

/** What this isolate remembers of D1, at most `limits.maxCacheAgeMs` long. */
const caches = {
  keys: new TimedCache<RememberedKey>(),
  templates: new TimedCache(sizeOfTemplate),
  prices: new TimedCache<ProjectPrices>(),
  usage: new TimedCache<DayUsage>(),
  upstreams: new TimedCache(sizeOfUpstreams),
  triggers: new TimedCache(sizeOfLiveTrigger),
};

/** What this isolate has learnt of its upstreams' health. */
const circuits = new Circuits();

type Invocation = { env: Env; requestId: string; waitUntil: (work: Promise<unknown>) => void };

/** The composition root: binds the use cases to D1, the upstream and the clock. */
export function requestContext(request: Request, { env, requestId, waitUntil }: Invocation): RequestContext {
  const settings = settingsOf(env);
  const keys = keyStore(database(env.DB));
  const check: Authenticate = authenticate({ findKnownKey: keys.findKnownKey, cache: caches.keys, now: Date.now });
  let principal: Principal | null = null;
  let checking: Promise<Principal> | null = null;
  return {
    requestId,
    authenticate() {
      checking ??= check(presentedKey(request.headers), request.headers.get("origin")).then((known) => {
        principal = known;
        return known;
      });
      return checking;
    },
    principal: () => principal,
    useCases: bindUseCases(env, settings, { waitUntil, ownHost: new URL(request.url).host }),
    signal: request.signal,
    logError: (error) => logFailure(error, requestId),
  };
}

type Around = Pick<Invocation, "waitUntil"> & {
  /** Where the caller has reached weir, a URL's `host`. */
  ownHost: string;
};

function bindUseCases(env: Env, settings: Settings, { waitUntil, ownHost }: Around): UseCases {
  const db = database(env.DB);
  const { UPSTREAM_BASE_URL: baseUrl, UPSTREAM_API_KEY: apiKey } = settings;
  const simulator = settings.SIMULATOR === "on";
  const served = [...(baseUrl ? catalogue : []), ...(simulator ? simulatorModels : [])];
  const templates = templateUseCases({ ...templateStore(db), cache: caches.templates, now: Date.now });
  const box = settings.ENCRYPTION_KEY ? secretBox(settings.ENCRYPTION_KEY) : noSecretBox;
  const ownUpstreams = findOwnUpstreams({ ...upstreamStore(db), box, cache: caches.upstreams });
  const call = callUpstream(simulatorFetch, fetch);
  const models = modelUseCases({
    ...modelStore(db),
    catalogue: () => served,
    ownUpstreams,
    cache: caches.prices,
    now: Date.now,
  });
  const usage = { findDayUsage: findDayUsage(db), cache: caches.usage, now: Date.now };
  const objects = jobObjects(env.JOBS);
  const endpoints = { ...endpointStore(db), endpointObjects: endpointObjects(env.ENDPOINTS) };
  const admit = admission({ ...usage, askRate: askRate(env), log });
  const prepared = {
    resolveTemplate: templates.resolve,
    routeModel: routeModel({ baseUrl, apiKey, simulator, models: served, ownUpstreams }),
    timeouts: timeoutsOf(settings),
  };
  const completions = completionUseCases({
    ...prepared,
    priceOf: models.priceOf,
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
  const jobs = jobUseCases({
    ...prepared,
    ...jobStore(db),
    objects,
    findRun: findRecordedRun(findRun(db), Date.now),
    admit,
    checkCallback: checkCallback(endpoints),
    log,
    now: Date.now,
  });
  const received = { ...prepared, ...eventStore(db), startJob: objects.start, admit, log, now: Date.now };
  const stored = triggerStore(db);
  return {
    templates,
    models,
    completions: admitted(completions, admit),
    jobs,
    batches: batchUseCases({
      ...prepared,
      ...batchStore(db),
      batchObjects: batchObjects(env.BATCHES),
      admit,
      checkCallback: checkCallback(endpoints),
      log,
      now: Date.now,
    }),
    openaiRuns: openaiRunUseCases({ jobs, findRun: findRun(db), findModelAsked: findModelAsked(db) }),
    idempotency: idempotencyUseCases({
      ...idempotencyStore(db),
      newClaimId: () => newId("req"),
      keepAlive: waitUntil,
      log,
      now: Date.now,
    }),
    upstreams: upstreamUseCases({
      ...upstreamStore(db),
      callUpstream: call,
      testTimeoutMs: limits.upstreamTestTimeoutMs,
      forgetUpstreams: (projectId) => caches.upstreams.forget(projectId),
      box,
      allowLoopback: settings.ALLOW_LOOPBACK_UPSTREAMS === "on",
      now: Date.now,
    }),
    triggers: triggerUseCases({
      ...prepared,
      ...stored,
      checkCallback: checkCallback(endpoints),
      forgetTrigger: (id) => caches.triggers.forget(id),
      box,
      now: Date.now,
    }),
    events: eventUseCases({ ...received, ...stored, box }),
    hooks: hookUseCases({
      ...received,
      findLiveTrigger: findLiveTrigger({ ...stored, box, cache: caches.triggers }),
      jobResult: jobs.result,
      askRate: askRate(env),
      keepAlive: waitUntil,
    }),
    endpoints: endpointUseCases({
      ...endpoints,
      box,
      allowLoopback: settings.WEBHOOKS_ALLOW_LOOPBACK === "true",
      ownHost,
      ownHosts: settings.OWN_HOSTS,
      log,
      now: Date.now,
    }),
    deliveries: deliveryUseCases(endpoints),
    keys: keyUseCases({ ...keyStore(db), forgetKey: (digest) => caches.keys.forget(digest), now: Date.now }),
    runs: runUseCases({
      listRuns: listRuns(db),
      findRun: findRun(db),
      rateRun: rateRun(db),
      deleteRun: deleteRun(db),
      sumUsage: sumUsage(db),
      forgetEvents: async (projectId, runId) => {
        await objects.forget(runId, { projectId, keyId: null });
        await forgetTold(endpoints.findListeners, endpoints.endpointObjects.forgetRun)(projectId, runId);
      },
      now: Date.now,
    }),
  };
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
