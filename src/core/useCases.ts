import type { AdmittedCompletions } from "./admission.ts";
import type { DeliveryUseCases } from "./deliveries.ts";
import type { EndpointUseCases } from "./endpoints.ts";
import type { EventUseCases } from "./events.ts";
import type { HookUseCases } from "./hooks.ts";
import type { IdempotencyUseCases } from "./idempotency.ts";
import type { BatchUseCases } from "./jobBatches.ts";
import type { JobUseCases } from "./jobs.ts";
import type { KeyUseCases } from "./keys.ts";
import type { ModelUseCases } from "./models.ts";
import type { OpenaiRunUseCases } from "./openaiRuns.ts";
import type { RunUseCases } from "./runs.ts";
import type { TemplateUseCases } from "./templates.ts";
import type { TriggerUseCases } from "./triggers.ts";
import type { UpstreamUseCases } from "./upstreamUseCases.ts";

/** Everything a door can ask for; `api/useCases.ts` binds it to storage and upstreams for each request. */
export interface UseCases {
  templates: TemplateUseCases;
  completions: AdmittedCompletions;
  jobs: JobUseCases;
  batches: BatchUseCases;
  /** Jobs and runs as the OpenAI door shows them. */
  openaiRuns: OpenaiRunUseCases;
  idempotency: IdempotencyUseCases;
  runs: RunUseCases;
  models: ModelUseCases;
  upstreams: UpstreamUseCases;
  triggers: TriggerUseCases;
  /** What triggers have received. */
  events: EventUseCases;
  hooks: HookUseCases;
  keys: KeyUseCases;
  endpoints: EndpointUseCases;
  deliveries: DeliveryUseCases;
}
