import { join } from "node:path";
import * as z from "zod";
import { projectRoot, StartError } from "./project.ts";

/** The id wrangler.toml carries until a database has been created for it. */
export const unsetDatabaseId = "00000000-0000-0000-0000-000000000000";

const RateLimit = z.object({
  namespace_id: z.string(),
  simple: z.object({ limit: z.number(), period: z.literal([10, 60]) }),
});

/** What running the Worker needs to know from wrangler.toml. */
export const WorkerConfig = z.object({
  name: z.string(),
  compatibilityDate: z.string(),
  compatibilityFlags: z.array(z.string()),
  databaseName: z.string(),
  databaseId: z.string(),
  /** Names the database's files on this machine; the same rule as wrangler's own local commands. */
  localDatabaseId: z.string(),
  /** Rate limits by binding. */
  rateLimits: z.record(z.string(), RateLimit),
  /** Durable Object classes by binding; all keep their state in SQLite. */
  durableObjects: z.record(z.string(), z.string()),
});
export type WorkerConfig = z.infer<typeof WorkerConfig>;

/** The part of wrangler's own reading that is used here. */
const RawConfig = z.object({
  name: z.string(),
  compatibility_date: z.string(),
  compatibility_flags: z.array(z.string()).default([]),
  d1_databases: z.array(
    z.object({
      binding: z.string(),
      database_name: z.string(),
      database_id: z.string(),
      preview_database_id: z.string().optional(),
    }),
  ),
  ratelimits: z.array(RateLimit.extend({ name: z.string() })),
  durable_objects: z.object({ bindings: z.array(z.object({ name: z.string(), class_name: z.string() })) }),
});

/** Reads wrangler.toml through wrangler itself; throws a StartError that names what is wrong with it. */
export async function readWorkerConfig(root = projectRoot): Promise<WorkerConfig> {
  const { unstable_readConfig } = await import("wrangler");
  const config = parsed(() =>
    RawConfig.parse(unstable_readConfig({ config: join(root, "wrangler.toml") }, { hideWarnings: true })),
  );
  const database = config.d1_databases.find(({ binding }) => binding === "DB");
  if (!database) throw new StartError("wrangler.toml: the D1 binding DB is missing.");
  return {
    name: config.name,
    compatibilityDate: config.compatibility_date,
    compatibilityFlags: config.compatibility_flags,
    databaseName: database.database_name,
    databaseId: database.database_id,
    localDatabaseId: database.preview_database_id ?? database.database_id,
    rateLimits: Object.fromEntries(config.ratelimits.map(({ name, ...rateLimit }) => [name, rateLimit])),
    durableObjects: Object.fromEntries(config.durable_objects.bindings.map((one) => [one.name, one.class_name])),
  };
}

function parsed<T>(read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    const why =
      thrown instanceof z.ZodError
        ? thrown.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ")
        : String(thrown instanceof Error ? thrown.message : thrown);
    throw new StartError(`wrangler.toml: ${why}`);
  }
}
