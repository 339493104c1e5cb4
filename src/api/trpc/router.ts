import { completionsRouter } from "./completions.ts";
import { endpointsRouter } from "./endpoints.ts";
import { router } from "./init.ts";
import { jobsRouter } from "./jobs.ts";
import { keysRouter } from "./keys.ts";
import { modelsRouter } from "./models.ts";
import { runsRouter } from "./runs.ts";
import { templatesRouter } from "./templates.ts";
import { triggersRouter } from "./triggers.ts";
import { upstreamsRouter } from "./upstreams.ts";

export const appRouter = router({
  templates: templatesRouter,
  completions: completionsRouter,
  jobs: jobsRouter,
  runs: runsRouter,
  models: modelsRouter,
  upstreams: upstreamsRouter,
  keys: keysRouter,
  triggers: triggersRouter,
  endpoints: endpointsRouter,
});

/** The type a client is made from. */
export type AppRouter = typeof appRouter;
