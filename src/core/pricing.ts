import type { Price } from "../contract/models.ts";
import type { Cost, Usage } from "../contract/runs.ts";

const million = 1_000_000n;

/**
 * Cost in whole micro-units of the price's currency, prompt and completion added before rounding half up once.
 * Reasoning tokens are part of the completion's. Null when usage or price is unknown, or the sum is beyond what an
 * integer holds exactly: an unknown cost is never shown as 0 or as a wrong figure.
 */
export function costOf(usage: Usage | null, price: Price | null): Cost | null {
  if (!usage || !price) return null;
  const scaled =
    BigInt(usage.promptTokens) * BigInt(price.inputMicrosPerMillion) +
    BigInt(usage.completionTokens) * BigInt(price.outputMicrosPerMillion);
  const micros = (scaled + million / 2n) / million;
  if (micros > BigInt(Number.MAX_SAFE_INTEGER)) return null;
  return { micros: Number(micros), currency: price.currency };
}
