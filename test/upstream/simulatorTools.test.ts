import { describe, expect, it } from "vitest";
import { ask, askJson, askStream, type Loose } from "../support/simulator.ts";

const model = "sim/tools";
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: {
        city: { type: "string" },
        unit: { enum: ["C", "F"] },
        days: { type: "integer", minimum: 1, maximum: 5 },
      },
      required: ["city", "unit", "days"],
      additionalProperties: false,
    },
  },
};
const clock = { type: "function", function: { name: "get_time" } };
const tools = [weather, clock];

async function calls(body: Record<string, unknown>): Promise<Loose[]> {
  const answer = await askJson({ model, prompt: "杭州", body: { tools, ...body } });
  return answer.choices[0].message.tool_calls ?? [];
}
const names = async (body: Record<string, unknown>) => (await calls(body)).map((call) => call.function.name);

describe("sim/tools", () => {
  it("calls the first tool with arguments that fit its parameters", async () => {
    const answer = await askJson({ model, prompt: "杭州", body: { tools } });
    const { message, finish_reason } = answer.choices[0];
    expect([finish_reason, message.content]).toEqual(["tool_calls", null]);
    expect(message.tool_calls).toEqual([
      {
        id: expect.stringMatching(/^call_[0-9a-f]{24}$/),
        type: "function",
        function: { name: "get_weather", arguments: expect.any(String) },
      },
    ]);
    const given = JSON.parse(message.tool_calls[0].function.arguments);
    expect(given).toEqual({
      city: expect.stringMatching(/^杭州( 杭州)*$/),
      unit: expect.stringMatching(/^[CF]$/),
      days: expect.any(Number),
    });
    expect(given.days).toBeGreaterThanOrEqual(1);
    expect(given.days).toBeLessThanOrEqual(5);
    expect(answer.usage.completion_tokens).toBeGreaterThan(3);
  });

  it("streams the id and the name first, then the arguments in pieces", async () => {
    const { chunks, finishReason } = await askStream({
      model,
      prompt: "杭州",
      body: { tools, parallel_tool_calls: true },
    });
    const parts = chunks.flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? []);
    const whole = await calls({ parallel_tool_calls: true });
    for (const [index, call] of whole.entries()) {
      const [start, ...rest] = parts.filter((part) => part.index === index);
      expect(start).toEqual({
        index,
        id: call.id,
        type: "function",
        function: { name: call.function.name, arguments: "" },
      });
      expect(rest.every((part) => Object.keys(part).join() === "index,function")).toBe(true);
      expect(rest.map((part) => part.function.arguments).join("")).toBe(call.function.arguments);
    }
    expect(parts.filter((part) => part.index === 0).length).toBeGreaterThan(3);
    expect(finishReason).toBe("tool_calls");
  });

  it("obeys tool_choice and parallel_tool_calls", async () => {
    const named = { type: "function", function: { name: "get_time" } };
    expect(await names({ tool_choice: named })).toEqual(["get_time"]);
    expect(await names({ tool_choice: named, parallel_tool_calls: true })).toEqual(["get_time"]);
    expect(await names({ tool_choice: "required" })).toEqual(["get_weather"]);
    expect(await names({ tool_choice: "none" })).toEqual([]);
    expect(await names({ parallel_tool_calls: true })).toEqual(["get_weather", "get_time"]);
    expect(await names({ parallel_tool_calls: true, tools: [clock] })).toEqual(["get_time"]);
    expect(await names({ parallel_tool_calls: false })).toEqual(["get_weather"]);
    expect((await calls({ tools: [clock] }))[0].function.arguments).toBe("{}");
  });

  it("answers with text that quotes a tool's result", async () => {
    const messages = [
      { role: "user", content: "weather?" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "call_1", type: "function", function: { name: "get_weather", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "call_1", content: '{"sky":"晴"}' },
    ];
    const { content, finishReason } = await askStream({ model, body: { tools, messages } });
    expect([content, finishReason]).toEqual(['The tool answered: {"sky":"晴"}', "stop"]);
  });

  it("answers plain text without tools", async () => {
    expect((await askJson({ model })).choices[0].message.content).toBe("This is a simulated answer to: Hello");
  });

  it.each([
    ["tool_choice", { tools, tool_choice: { type: "function", function: { name: "none_such" } } }],
    ["tools", { tools: [{ type: "function", function: {} }] }],
    [
      "tools",
      {
        tools: [{ type: "function", function: { name: "x", parameters: { type: "integer", minimum: 2, maximum: 1 } } }],
      },
    ],
  ])("refuses a broken %s with 400", async (param, body) => {
    const response = await ask({ model, body });
    expect([response.status, ((await response.json()) as Loose).error.param]).toEqual([400, param]);
  });
});
