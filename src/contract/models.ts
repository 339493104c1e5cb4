import * as z from "zod";

/** Price per million tokens in micro-units of the currency: ¥3.75 per million is 3,750,000. */
export const Price = z.object({
  inputMicrosPerMillion: z.number().int().min(0).max(1_000_000_000_000),
  outputMicrosPerMillion: z.number().int().min(0).max(1_000_000_000_000),
  /** ISO 4217. */
  currency: z.string().regex(/^[A-Z]{3}$/),
});
export type Price = z.infer<typeof Price>;

export const Model = z.object({
  id: z.string(),
  name: z.string(),
  upstream: z.string(),
  capabilities: z.array(z.enum(["text", "vision", "reasoning", "deep_research", "tools", "json_schema"])),
  contextTokens: z.number().int().nullable(),
  /** Null when unknown: runs then have an unknown cost, never 0. */
  price: Price.nullable(),
  simulated: z.boolean(),
});
export type Model = z.infer<typeof Model>;

export const ModelList = z.object({ items: z.array(Model) });
export const SetPriceInput = z.strictObject({
  model: z.string().min(1).max(200),
  /** Null returns to the catalogue's own price. */
  price: Price.strict().nullable(),
});
