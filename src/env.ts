import * as z from "zod";
import { limits } from "./contract/limits.ts";

/** Bindings and variables of the Worker as the platform hands them over. */
export interface Env {
  DB: D1Database;
  /** A job each, by the id of its run. */
  JOBS: DurableObjectNamespace;
  /** A project's gate each, by the project's id. */
  GATES: DurableObjectNamespace;
  /** A batch of jobs each, by its id. */
  BATCHES: DurableObjectNamespace;
  /** An endpoint each, by its id. */
  ENDPOINTS: DurableObjectNamespace;
  /** Requests a minute of keys that have a rate, one binding a rate. */
  RATE_LIMIT_60: RateLimit;
  RATE_LIMIT_600: RateLimit;
  RATE_LIMIT_6000: RateLimit;
  UPSTREAM_BASE_URL?: string;
  UPSTREAM_API_KEY?: string;
  UPSTREAM_HEADERS_TIMEOUT_MS?: string;
  UPSTREAM_FIRST_TOKEN_TIMEOUT_MS?: string;
  UPSTREAM_IDLE_TIMEOUT_MS?: string;
  UPSTREAM_TOTAL_TIMEOUT_MS?: string;
  FIRST_EVENT_HOLD_MS?: string;
  UPSTREAM_ATTEMPTS?: string;
  UPSTREAM_RETRY_PAUSE_MS?: string;
  UPSTREAM_CIRCUIT_FAILURES?: string;
  SIMULATOR?: string;
  ENCRYPTION_KEY?: string;
  ALLOW_LOOPBACK_UPSTREAMS?: string;
  WEBHOOKS_ALLOW_LOOPBACK?: string;
  OWN_HOSTS?: string;
  ENVIRONMENT?: string;
}

const absent = (value: unknown) => (value === "" ? undefined : value);

const anyMilliseconds = z.coerce.number().int().min(1).max(86_400_000);
const milliseconds = (fallback: number) => z.preprocess(absent, anyMilliseconds.default(fallback));

const onOff = z.preprocess(absent, z.enum(["on", "off"]).default("off"));

/** 32 bytes are 43 characters and one "="; the last of the 43 carries 4 bits. */
const encryptionKey = z
  .string()
  .regex(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/, { message: "must be 32 random bytes in base64" });

const hosts = z
  .string()
  .transform((text) =>
    text
      .toLowerCase()
      .split(",")
      .flatMap((part) => part.trim() || []),
  )
  .pipe(z.array(z.string().regex(/^[a-z0-9.-]+(?::\d{1,5})?$/, { message: "must be hosts such as weir.example.com" })));

const Settings = z
  .object({
    UPSTREAM_BASE_URL: z.preprocess(absent, z.url({ protocol: /^https?$/ }).optional()),
    UPSTREAM_API_KEY: z.preprocess(absent, z.string().optional()),
    UPSTREAM_HEADERS_TIMEOUT_MS: milliseconds(limits.upstreamHeadersTimeoutMs),
    // Without a value of their own these two depend on the model.
    UPSTREAM_FIRST_TOKEN_TIMEOUT_MS: z.preprocess(absent, anyMilliseconds.optional()),
    UPSTREAM_IDLE_TIMEOUT_MS: z.preprocess(absent, anyMilliseconds.optional()),
    UPSTREAM_TOTAL_TIMEOUT_MS: milliseconds(limits.upstreamTotalTimeoutMs),
    FIRST_EVENT_HOLD_MS: milliseconds(limits.firstEventHoldMs),
    UPSTREAM_ATTEMPTS: z.preprocess(
      absent,
      z.coerce.number().int().min(1).max(limits.maxAttempts).default(limits.attemptsPerModel),
    ),
    UPSTREAM_RETRY_PAUSE_MS: milliseconds(limits.retryPauseMs),
    UPSTREAM_CIRCUIT_FAILURES: z.preprocess(absent, z.coerce.number().int().min(1).default(limits.circuitFailures)),
    SIMULATOR: onOff,
    ENCRYPTION_KEY: z.preprocess(absent, encryptionKey.optional()),
    ALLOW_LOOPBACK_UPSTREAMS: onOff,
    WEBHOOKS_ALLOW_LOOPBACK: z.preprocess(absent, z.enum(["true", "false"]).default("false")),
    OWN_HOSTS: z.preprocess(absent, hosts.default([])),
    /** A weir that is told nothing else is deployed: what is for development is refused there. */
    ENVIRONMENT: z.preprocess(absent, z.enum(["production", "development"]).default("production")),
  })
  .refine((settings) => settings.WEBHOOKS_ALLOW_LOOPBACK === "false" || settings.ENVIRONMENT === "development", {
    message: "is for development, and nothing else: take it away, or set ENVIRONMENT to development",
    path: ["WEBHOOKS_ALLOW_LOOPBACK"],
  });
export type Settings = z.infer<typeof Settings>;

const checked = new WeakMap<Env, Settings>();

/** The variables, checked once per isolate; throws one message that names every bad one. */
export function settingsOf(env: Env): Settings {
  const known = checked.get(env);
  if (known) return known;
  if (!env.DB) throw new Error("DB: the D1 binding is missing");
  for (const name of ["RATE_LIMIT_60", "RATE_LIMIT_600", "RATE_LIMIT_6000"] as const)
    if (!env[name]) throw new Error(`${name}: the rate-limit binding is missing`);
  for (const name of ["JOBS", "GATES", "BATCHES", "ENDPOINTS"] as const)
    if (!env[name]) throw new Error(`${name}: the Durable Object binding is missing`);
  const parsed = Settings.safeParse(env);
  if (!parsed.success)
    throw new Error(parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "));
  checked.set(env, parsed.data);
  return parsed.data;
}
