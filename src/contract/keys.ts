import * as z from "zod";
import { limits } from "./limits.ts";
import { PageInput, page } from "./paging.ts";
import { Cost } from "./runs.ts";
import { Scope } from "./scopes.ts";

export const KeyKind = z.enum(["secret", "publishable"]);
export type KeyKind = z.infer<typeof KeyKind>;

/** A browser origin, exact: scheme, host and port, nothing after. */
export const Origin = z
  .string()
  .max(200)
  .refine(
    (value) => {
      try {
        return new URL(value).origin === value;
      } catch {
        return false;
      }
    },
    { message: "an exact origin such as https://app.example.com" },
  );

/** The rates there are: each is a binding of the Worker, whose limit is fixed. */
export const RequestsPerMinute = z.literal([60, 600, 6_000]);
export type RequestsPerMinute = z.infer<typeof RequestsPerMinute>;

/** Tokens in one UTC day, of prompts and answers together. */
export const TokensPerDay = z.number().int().min(1).max(limits.maxTokensPerDay);

/** Cost in one UTC day; runs that cost another currency, or whose price is unknown, do not count against it. */
export const CostPerDay = z.strictObject({
  micros: z.number().int().min(1).max(limits.maxCostPerDayMicros),
  currency: z.string().regex(/^[A-Z]{3}$/),
});

export const Key = z.object({
  id: z.string(),
  kind: KeyKind,
  name: z.string(),
  /** First and last characters, to recognise it by. */
  hint: z.string(),
  scopes: z.array(Scope),
  /** Publishable keys: the origins a browser may call from. */
  origins: z.array(z.string()),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime().nullable(),
  revokedAt: z.iso.datetime().nullable(),
  /** The key that this one replaced. */
  rotatedFrom: z.string().nullable(),
  /** What bounds its use; null: nothing. */
  requestsPerMinute: RequestsPerMinute.nullable(),
  tokensPerDay: z.number().int().nullable(),
  costPerDay: Cost.nullable(),
});
export type Key = z.infer<typeof Key>;

export const CreateKeyInput = z
  .strictObject({
    name: z.string().min(1).max(100),
    kind: KeyKind.default("secret"),
    /** A publishable key has `completions:run` alone. */
    scopes: z.array(Scope).min(1).optional(),
    origins: z.array(Origin).max(20).default([]),
    expiresAt: z.iso.datetime({ offset: true }).optional(),
    /** Absent: 60 for a publishable key, without bound for a secret one. */
    requestsPerMinute: RequestsPerMinute.optional(),
    /** Budgets of the key alone; its project may have some as well. Absent: without bound. */
    tokensPerDay: TokensPerDay.optional(),
    costPerDay: CostPerDay.optional(),
  })
  .refine((input) => input.kind === "publishable" || input.scopes !== undefined, {
    message: "a secret key needs scopes",
    path: ["scopes"],
  })
  .refine((input) => input.kind === "secret" || input.scopes === undefined, {
    message: "a publishable key has no scopes to choose",
    path: ["scopes"],
  })
  .refine((input) => input.kind === "publishable" || input.origins.length === 0, {
    message: "only a publishable key has origins",
    path: ["origins"],
  });
export type CreateKeyInput = z.infer<typeof CreateKeyInput>;

/** `secret` is the key itself, shown this once. */
export const CreatedKey = z.object({ key: Key, secret: z.string() });
export type CreatedKey = z.infer<typeof CreatedKey>;

export const ListKeysInput = PageInput.strict();
export const KeyPage = page(Key);

export const RotateKeyInput = z.strictObject({
  id: z.string().max(100),
  /** How long the old key goes on working, seconds. */
  overlapSeconds: z
    .number()
    .int()
    .min(0)
    .max(limits.maxKeyOverlapSeconds)
    .default(24 * 3600),
});
export const KeyIdInput = z.strictObject({ id: z.string().max(100) });
