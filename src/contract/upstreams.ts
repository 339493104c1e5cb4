import * as z from "zod";
import { ErrorCode } from "./errors.ts";
import { MaxJobs } from "./jobs.ts";
import { limits } from "./limits.ts";
import { PageInput, page } from "./paging.ts";

/** Names that models are already addressed by: the environment's upstream and the simulator. */
const takenNames = ["default", "sim"];

/** What stands before the slash in `upstream/model`. */
export const UpstreamName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, { message: "1 to 32 of a-z, 0-9 and -, beginning with a letter" })
  .refine((name) => !takenNames.includes(name), { message: "this name is weir's own" });

const BaseUrl = z.string().min(1).max(limits.maxBaseUrlChars);

/** Goes into a header as it is. */
const ApiKey = z
  .string()
  .max(1_000)
  .regex(/^[\x21-\x7e]+$/, { message: "printable ASCII without spaces" });

/** Headers that weir sets itself, or that steer the connection. */
const ownHeaders =
  /^(?:authorization|host|content-(?:type|length|encoding)|accept(?:-encoding)?|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|cookie|(?:proxy|sec)-.+)$/;

const HeaderName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/, { message: "a header's name" })
  .refine((name) => !ownHeaders.test(name.toLowerCase()), { message: "weir sets this header itself" });

const HeaderValue = z
  .string()
  .max(1_000)
  .regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, { message: "printable ASCII, no spaces around it" });

const Headers = z
  .record(HeaderName, HeaderValue)
  .refine((headers) => Object.keys(headers).length <= limits.maxUpstreamHeaders, {
    message: `at most ${limits.maxUpstreamHeaders} headers`,
  })
  .refine(
    (headers) => new Set(Object.keys(headers).map((name) => name.toLowerCase())).size === Object.keys(headers).length,
    {
      message: "the same header twice",
    },
  );

const ModelName = z
  .string()
  .min(1)
  .max(limits.maxNameChars)
  .refine((name) => !/\p{Cc}/u.test(name), { message: "no control characters" });

/** Model as it is asked for → model as the upstream names it. */
const ModelMapping = z
  .record(ModelName, ModelName)
  .refine((models) => Object.keys(models).length <= limits.maxUpstreamModels, {
    message: `at most ${limits.maxUpstreamModels} models`,
  });

/** An upstream of a project. Its key and the values of its headers are never shown. */
export const Upstream = z.object({
  id: z.string(),
  name: z.string(),
  baseUrl: z.string(),
  hasKey: z.boolean(),
  /** The key's last characters, to recognise it by; null when there is no key. */
  keyHint: z.string().nullable(),
  /** Names of the headers sent along, lower case. */
  headers: z.array(z.string()),
  models: z.record(z.string(), z.string()),
  /** Jobs that may call it at a time; null: as many as the project's jobs. */
  maxJobs: z.number().int().nullable(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  archived: z.boolean(),
});
export type Upstream = z.infer<typeof Upstream>;

export const CreateUpstreamInput = z.strictObject({
  name: UpstreamName,
  /** OpenAI-compatible, up to the part before `/chat/completions`; https. */
  baseUrl: BaseUrl,
  /** Sent as a bearer token. */
  apiKey: ApiKey.optional(),
  headers: Headers.default({}),
  models: ModelMapping.default({}),
  /** Jobs that may call it at a time; null: as many as the project's jobs. */
  maxJobs: MaxJobs.nullable().default(null),
});
export type CreateUpstreamInput = z.infer<typeof CreateUpstreamInput>;

export const ListUpstreamsInput = PageInput.extend({ archived: z.boolean().default(false) }).strict();
export type ListUpstreamsInput = z.infer<typeof ListUpstreamsInput>;
export const UpstreamPage = page(Upstream);

const UpstreamId = z.string().max(100);

/** What is left out stays as it is; a new `baseUrl` asks for the key, and for the headers, once more. */
export const UpdateUpstreamInput = z.strictObject({
  id: UpstreamId,
  name: UpstreamName.optional(),
  baseUrl: BaseUrl.optional(),
  /** Null takes the key away. */
  apiKey: ApiKey.nullable().optional(),
  /** All headers from now on. */
  headers: Headers.optional(),
  /** The whole mapping from now on. */
  models: ModelMapping.optional(),
  maxJobs: MaxJobs.nullable().optional(),
});
export type UpdateUpstreamInput = z.infer<typeof UpdateUpstreamInput>;

/** `model` is what stands after the slash in `upstream/model`. */
export const TestUpstreamInput = z.strictObject({ id: UpstreamId, model: ModelName });
export type TestUpstreamInput = z.infer<typeof TestUpstreamInput>;

export const UpstreamTest = z.object({
  ok: z.boolean(),
  /** HTTP status of the upstream; null when no answer came. */
  status: z.number().int().nullable(),
  latencyMs: z.number().int(),
  /** The model that answered, as the upstream names it. */
  model: z.string().optional(),
  error: z.object({ code: ErrorCode, message: z.string() }).optional(),
});
export type UpstreamTest = z.infer<typeof UpstreamTest>;

export const UpstreamIdInput = z.strictObject({ id: UpstreamId });
