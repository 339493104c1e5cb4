import { createApp, onCron } from "./app.ts";
import type { Env } from "./env.ts";

// biome-ignore lint/performance/noBarrelFile: the platform finds Durable Object classes among the entry's exports
export { BatchActor } from "./durable/batchActor.ts";
export { EndpointActor } from "./durable/endpointActor.ts";
export { JobActor } from "./durable/jobActor.ts";
export { ProjectGate } from "./durable/projectGate.ts";

const app = createApp();

export default { fetch: app.fetch, scheduled: (_controller, env) => onCron(env) } satisfies ExportedHandler<Env>;
