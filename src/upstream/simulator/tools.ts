import * as z from "zod";
import { AppError } from "../../core/errors.ts";
import { type Answer, type Reply, replyOf, textAnswer } from "./answer.ts";
import { lastUserText, messageText, type SimCall } from "./request.ts";
import { plainReply } from "./texts.ts";
import { makeValue } from "./values.ts";

const FunctionTool = z.looseObject({
  function: z.looseObject({ name: z.string().min(1), parameters: z.unknown().optional() }),
});
type FunctionTool = z.infer<typeof FunctionTool>["function"];

/**
 * `sim/tools`: calls the tool that `tool_choice` names, else the first, with arguments made from its parameters;
 * the first two when `parallel_tool_calls` is true. After a tool's result it answers with text that quotes it.
 * Without tools, or with `tool_choice: "none"`, plain text.
 */
export function tools(call: SimCall): Reply {
  const last = call.body.messages.at(-1);
  if (last?.role === "tool") return replyOf(call, () => textAnswer(`The tool answered: ${messageText(last)}`));
  const chosen = chosenTools(call);
  if (chosen.length === 0) return plainReply(call);
  return replyOf(call, (choice): Answer => {
    const segments = chosen.map((tool, index) => {
      const random = call.random(`tools ${choice} ${index}`);
      const options = { random, prompt: lastUserText(call), param: "tools" };
      const id = `call_${random.hex(24)}`;
      const value = tool.parameters === undefined ? {} : makeValue(tool.parameters, options);
      return { kind: "tool" as const, id, name: tool.name, arguments: JSON.stringify(value) };
    });
    return { segments, finishReason: "tool_calls" };
  });
}

function chosenTools({ body }: SimCall): FunctionTool[] {
  if (body.tool_choice === "none") return [];
  const offered = (body.tools ?? [])
    .filter((tool) => tool.type === "function")
    .map((tool) => {
      const parsed = FunctionTool.safeParse(tool);
      if (parsed.success) return parsed.data.function;
      throw new AppError("invalid_request", "tools: a function needs a name", { param: "tools" });
    });
  if (typeof body.tool_choice === "object") {
    const named = z.looseObject({ function: z.looseObject({ name: z.string() }) }).safeParse(body.tool_choice);
    const tool = named.success ? offered.find(({ name }) => name === named.data.function.name) : undefined;
    if (tool) return [tool];
    throw new AppError("invalid_request", "tool_choice: names no tool of the request", { param: "tool_choice" });
  }
  return offered.slice(0, body.parallel_tool_calls === true ? 2 : 1);
}
