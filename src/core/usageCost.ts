import type { JsonObject } from "../contract/chat.ts";
import type { Price } from "../contract/models.ts";
import type { Answer } from "./answer.ts";
import { isObject } from "./json.ts";
import { topLevelSpan } from "./jsonSpan.ts";
import { costOf } from "./pricing.ts";

/**
 * The text of a completion, or of a chunk, with `usage.cost` (in units of the currency) and `usage.cost_currency`
 * added; nothing else is touched, and a text without usage or with an unknown price is returned as it came.
 */
export function withCost(text: string, body: JsonObject, answer: Answer, price: Price | null): string {
  const cost = isObject(body["usage"]) ? costOf(answer.usage, price) : null;
  const span = cost && topLevelSpan(text, "usage");
  if (!cost || !span) return text;
  const usage = { ...(body["usage"] as JsonObject), cost: cost.micros / 1_000_000, cost_currency: cost.currency };
  return text.slice(0, span[0]) + JSON.stringify(usage) + text.slice(span[1]);
}
