import type { Model } from "../contract/models.ts";

type Capability = Model["capabilities"][number];

/** A model of the reference upstream; without a published price its runs have an unknown cost, never 0. */
function listed(id: string, name: string, capabilities: Capability[]): Model {
  return { id, name, upstream: "default", capabilities, contextTokens: null, price: null, simulated: false };
}

/** The reference upstream's models. Others that it serves can be asked for all the same. */
export const catalogue: readonly Model[] = [
  {
    ...listed("deepseek/deepseek-r1-distill-qwen-32b", "DeepSeek R1 Distill Qwen 32B", ["text"]),
    contextTokens: 131_072,
    // ¥0.00375 per 1,000 tokens, in and out.
    price: { inputMicrosPerMillion: 3_750_000, outputMicrosPerMillion: 3_750_000, currency: "CNY" },
  },
  listed("z-ai/glm-4.6", "GLM 4.6", ["text", "reasoning"]),
  listed("z-ai/glm-4.5", "GLM 4.5", ["text", "reasoning"]),
  listed("qwen/qwen3-vl-30b-a3b-instruct", "Qwen3 VL 30B A3B Instruct", ["vision"]),
  listed("qwen/qwen3-vl-30b-a3b-thinking", "Qwen3 VL 30B A3B Thinking", ["vision", "reasoning"]),
  listed("qwen/qwen3-vl-235b-a22b-instruct", "Qwen3 VL 235B A22B Instruct", ["vision"]),
  listed("qwen/qwen3-vl-235b-a22b-thinking", "Qwen3 VL 235B A22B Thinking", ["vision", "reasoning"]),
  listed("alibaba/tongyi-deepresearch-30b-a3b", "Tongyi DeepResearch 30B A3B", ["text", "deep_research"]),
  listed("qwen/qwen3-next-80b-a3b-instruct", "Qwen3 Next 80B A3B Instruct", ["text"]),
  listed("qwen/qwen3-next-80b-a3b-thinking", "Qwen3 Next 80B A3B Thinking", ["text", "reasoning"]),
  listed("deepseek/deepseek-v3.2-exp", "DeepSeek V3.2 Exp", ["text"]),
  listed("deepseek/deepseek-v3.1-terminus", "DeepSeek V3.1 Terminus", ["text"]),
  listed("baidu/ernie-4.5-21b-a3b-thinking", "ERNIE 4.5 21B A3B Thinking", ["text", "reasoning"]),
];
