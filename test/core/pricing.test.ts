import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { costOf } from "../../src/core/pricing.ts";

const reference = { inputMicrosPerMillion: 3_750_000, outputMicrosPerMillion: 3_750_000, currency: "CNY" };
const usage = (promptTokens: number, completionTokens: number) => ({
  promptTokens,
  completionTokens,
  reasoningTokens: null,
});

describe("the cost of a run", () => {
  it("is in micro-units of the price's currency, rounded half up", () => {
    expect(costOf(usage(9, 72), reference)).toEqual({ micros: 304, currency: "CNY" });
    expect(costOf(usage(1_000, 0), reference)).toEqual({ micros: 3_750, currency: "CNY" });
    const half = { inputMicrosPerMillion: 500_000, outputMicrosPerMillion: 499_999, currency: "USD" };
    expect(costOf(usage(1, 0), half)).toEqual({ micros: 1, currency: "USD" });
    expect(costOf(usage(0, 1), half)).toEqual({ micros: 0, currency: "USD" });
  });

  it("adds prompt and completion before it rounds", () => {
    const quarter = { inputMicrosPerMillion: 250_000, outputMicrosPerMillion: 250_000, currency: "CNY" };
    expect(costOf(usage(1, 1), quarter)?.micros).toBe(1);
  });

  it("is 0 for a price of 0 and unknown without a price or usage", () => {
    const free = { inputMicrosPerMillion: 0, outputMicrosPerMillion: 0, currency: "CNY" };
    expect(costOf(usage(9, 72), free)).toEqual({ micros: 0, currency: "CNY" });
    expect(costOf(usage(9, 72), null)).toBeNull();
    expect(costOf(null, reference)).toBeNull();
  });

  it("does not count reasoning tokens twice", () => {
    expect(costOf({ ...usage(9, 72), reasoningTokens: 60 }, reference)?.micros).toBe(304);
  });

  it("is exact to the micro-unit for any usage and price, or unknown", () => {
    const tokens = fc.nat({ max: Number.MAX_SAFE_INTEGER });
    const rate = fc.nat({ max: 1_000_000_000_000 });
    fc.assert(
      fc.property(tokens, tokens, rate, rate, (prompt, completion, input, output) => {
        const price = { inputMicrosPerMillion: input, outputMicrosPerMillion: output, currency: "CNY" };
        const cost = costOf(usage(prompt, completion), price);
        const exact = BigInt(prompt) * BigInt(input) + BigInt(completion) * BigInt(output);
        if (cost === null) {
          expect(exact / 1_000_000n).toBeGreaterThanOrEqual(BigInt(Number.MAX_SAFE_INTEGER));
          return;
        }
        expect(Number.isSafeInteger(cost.micros)).toBe(true);
        const error = BigInt(cost.micros) * 1_000_000n - exact;
        expect(error > -500_000n && error <= 500_000n).toBe(true);
      }),
    );
  });
});
