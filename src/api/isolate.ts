import type { KnownKey } from "../core/auth.ts";
import type { DayUsage } from "../core/budgets.ts";
import { TimedCache } from "../core/cache.ts";
import { Circuits } from "../core/circuit.ts";
import { sizeOfLiveTrigger } from "../core/liveTrigger.ts";
import type { ProjectPrices } from "../core/models.ts";
import { sizeOfUpstreams } from "../core/ownUpstreams.ts";
import { sizeOfTemplate } from "../core/templateResolve.ts";

/** What this isolate remembers of D1, at most `limits.maxCacheAgeMs` long. */
export const caches = {
  keys: new TimedCache<KnownKey>(),
  templates: new TimedCache({ sizeOf: sizeOfTemplate }),
  prices: new TimedCache<ProjectPrices>(),
  usage: new TimedCache<DayUsage>(),
  upstreams: new TimedCache({ sizeOf: sizeOfUpstreams }),
  triggers: new TimedCache({ sizeOf: sizeOfLiveTrigger }),
};

/** What this isolate has learnt of its upstreams' health. */
export const circuits = new Circuits();
