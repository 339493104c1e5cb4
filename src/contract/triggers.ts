import * as z from "zod";
import { SamplingParams } from "./chat.ts";
import { Callback } from "./endpoints.ts";
import { SubmitJobInput } from "./jobs.ts";
import { RequestsPerMinute } from "./keys.ts";
import { limits } from "./limits.ts";
import { PageInput, page } from "./paging.ts";
import { Selector, TemplateName } from "./templates.ts";

/** How a trigger's sender proves who it is. */
export const TriggerScheme = z.enum([
  /** Standard Webhooks 1.0.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`, a `whsec_` secret. */
  "standard",
  /** `X-Hub-Signature-256`. */
  "github",
  /** `Stripe-Signature`. */
  "stripe",
  /** `X-Slack-Signature`; Slack's URL verification is answered. */
  "slack",
  /** Standard Webhooks, as OpenAI sends them. */
  "openai",
  /** An HMAC of the body in a header of the sender's. */
  "hmac",
  /** The secret itself, as `Authorization: Bearer SECRET`. */
  "bearer",
]);
export type TriggerScheme = z.infer<typeof TriggerScheme>;

/** Headers that prove or carry an identity: no part of what an event says. */
export const secretHeaders = /^(?:authorization|proxy-authorization|cookie|set-cookie)$/i;

export const HookHeaderName = z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/, { message: "a header's name" });
const TellingHeader = HookHeaderName.refine((name) => !secretHeaders.test(name), { message: "this header is secret" });

export const HmacSettings = z.strictObject({
  header: HookHeaderName,
  algorithm: z.enum(["sha256", "sha512", "sha1"]).default("sha256"),
  encoding: z.enum(["hex", "base64"]).default("hex"),
  /** What stands before the signature in the header, such as `sha256=`. */
  prefix: z.string().max(50).default(""),
});
export type HmacSettings = z.infer<typeof HmacSettings>;

const ExpressionText = z.string().min(1).max(limits.maxExpressionChars);
const maxChars = z.number().int().min(1).max(limits.maxMappedChars).optional();

/** Where a variable's value comes from; longer text than `maxChars` is cut. A text alone is an expression. */
export const VariableMapping = z.union([
  ExpressionText.transform((expression) => ({ expression })),
  z.strictObject({
    /** JMESPath over the payload; `$headers` holds the kept headers. */
    expression: ExpressionText,
    /** Instead of null. */
    default: z.unknown().optional(),
    maxChars,
  }),
  /** A constant. */
  z.strictObject({ value: z.unknown() }),
  /** The whole body: as it was sent for a variable that is a string, else parsed. */
  z.strictObject({ body: z.literal(true), maxChars }),
  z.strictObject({ header: TellingHeader, default: z.unknown().optional(), maxChars }),
]);
export type VariableMapping = z.infer<typeof VariableMapping>;

const VariableMappings = z
  .record(z.string().min(1).max(100), VariableMapping)
  .refine((mappings) => Object.keys(mappings).length <= limits.maxVariables, {
    message: `at most ${limits.maxVariables} variables`,
  });

/** Where the pairs of a run's metadata come from, as variables do; each value is text, cut to what metadata may hold. */
const MetadataMappings = z
  .record(z.string().min(1).max(limits.maxMetadataKeyChars), VariableMapping)
  .refine((mappings) => Object.keys(mappings).length <= limits.maxMappedMetadataPairs, {
    message: `at most ${limits.maxMappedMetadataPairs} pairs`,
  })
  .refine((mappings) => !Object.hasOwn(mappings, "trigger") && !Object.hasOwn(mappings, "event"), {
    message: "`trigger` and `event` are weir's own",
  });

/** Where an event's id stands, for schemes that name no place of their own: in a header, or in the body. */
export const EventIdPlace = z.union([
  z.strictObject({ header: TellingHeader }),
  z.strictObject({ expression: ExpressionText }),
]);
export type EventIdPlace = z.infer<typeof EventIdPlace>;

const { priority } = SubmitJobInput.shape;

/** What a trigger makes of an event. */
const mapping = {
  template: TemplateName,
  /** Version number or label; `production` when absent. */
  version: Selector.optional(),
  variables: VariableMappings,
  metadata: MetadataMappings,
  /** An expression; events for which it is false, null or empty are ignored. */
  filter: ExpressionText.nullable(),
  priority,
  /** Instead of the template's; null: the template's. */
  model: z.string().min(1).max(limits.maxNameChars).nullable(),
  /** Instead of the template's, one by one. */
  params: SamplingParams.strict(),
  /** The endpoint that is told of a run's end. */
  callback: Callback.nullable(),
  /** `sync`: the answer waits up to 25 s for the run's result. */
  respond: z.enum(["async", "sync"]),
  /** Events a minute; null: without bound. */
  requestsPerMinute: RequestsPerMinute.nullable(),
  eventId: EventIdPlace.nullable(),
};

const TriggerName = z.string().min(1).max(100);

/** A secret as its sender gave it. */
const GivenSecret = z
  .string()
  .max(500)
  .regex(/^[\x21-\x7e]+$/, { message: "printable ASCII without spaces" });

/** An address that starts completions. Its secrets are never shown again. */
export const Trigger = z.object({
  id: z.string(),
  name: z.string(),
  /** Where its sender posts to, below weir's own address. */
  path: z.string(),
  scheme: TriggerScheme,
  hmac: HmacSettings.nullable(),
  /** The secret's last characters, to recognise it by. */
  secretHint: z.string(),
  /** Until when the secret before is taken too; null: there is none. */
  previousSecretUntil: z.iso.datetime().nullable(),
  ...mapping,
  version: Selector.nullable(),
  variables: z.record(z.string(), z.unknown()),
  metadata: z.record(z.string(), z.unknown()),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  archived: z.boolean(),
});
export type Trigger = Omit<z.infer<typeof Trigger>, "variables" | "metadata"> & {
  variables: Record<string, VariableMapping>;
  metadata: Record<string, VariableMapping>;
};

/** `hmac` belongs to the scheme `hmac`, and `eventId` to `hmac` and `bearer`: the others have places of their own. */
export const CreateTriggerInput = z
  .strictObject({
    name: TriggerName,
    scheme: TriggerScheme,
    hmac: HmacSettings.optional(),
    /** The sender's, where that makes it; else one is made. */
    secret: GivenSecret.optional(),
    ...mapping,
    variables: VariableMappings.default({}),
    metadata: MetadataMappings.default({}),
    filter: mapping.filter.default(null),
    model: mapping.model.default(null),
    params: mapping.params.default({}),
    callback: mapping.callback.default(null),
    respond: mapping.respond.default("async"),
    requestsPerMinute: mapping.requestsPerMinute.default(null),
    eventId: mapping.eventId.default(null),
  })
  .refine((input) => (input.scheme === "hmac") === (input.hmac !== undefined), {
    message: "given with the scheme `hmac`, and with no other",
    path: ["hmac"],
  });
export type CreateTriggerInput = z.infer<typeof CreateTriggerInput>;

/** `secret` is shown this once. */
export const TriggerWithSecret = z.object({ trigger: Trigger, secret: z.string() });
export type TriggerWithSecret = { trigger: Trigger; secret: string };

const TriggerId = z.string().max(100);
export const TriggerIdInput = z.strictObject({ id: TriggerId });

export const ListTriggersInput = PageInput.extend({ archived: z.boolean().default(false) }).strict();
export type ListTriggersInput = z.infer<typeof ListTriggersInput>;
export const TriggerPage = page(Trigger);

/** What is left out stays as it is; `version: null` means `production`. */
export const UpdateTriggerInput = z.strictObject({
  id: TriggerId,
  name: TriggerName.optional(),
  template: mapping.template.optional(),
  version: Selector.nullable().optional(),
  variables: VariableMappings.optional(),
  metadata: MetadataMappings.optional(),
  filter: mapping.filter.optional(),
  priority: z.number().int().min(-limits.maxJobPriority).max(limits.maxJobPriority).optional(),
  model: mapping.model.optional(),
  params: mapping.params.optional(),
  callback: mapping.callback.optional(),
  respond: mapping.respond.optional(),
  requestsPerMinute: mapping.requestsPerMinute.optional(),
  eventId: mapping.eventId.optional(),
});
export type UpdateTriggerInput = z.infer<typeof UpdateTriggerInput>;

export const RotateTriggerSecretInput = z.strictObject({
  id: TriggerId,
  /** The sender's new one; else one is made. */
  secret: GivenSecret.optional(),
  /** How long the secret before is taken too, seconds. */
  overlapSeconds: z
    .number()
    .int()
    .min(0)
    .max(limits.maxKeyOverlapSeconds)
    .default(24 * 3600),
});
export type RotateTriggerSecretInput = z.infer<typeof RotateTriggerSecretInput>;
