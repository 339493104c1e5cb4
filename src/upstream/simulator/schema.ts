import { type Reply, replyOf, textAnswer } from "./answer.ts";
import { lastUserText, type SimCall } from "./request.ts";
import { plainReply } from "./texts.ts";
import { countTokens } from "./tokens.ts";
import { makeValue } from "./values.ts";

/**
 * `sim/schema`: a JSON answer. With `response_format` json_schema a value that satisfies the schema, with
 * json_object a small object, else plain text.
 */
export function structured(call: SimCall): Reply {
  const format = call.body.response_format;
  if (!format || format.type === "text") return plainReply(call);
  const prompt = lastUserText(call);
  const schema = format.type === "json_schema" ? format.json_schema.schema : undefined;
  if (!schema) {
    const value = { simulated: true, prompt: prompt.slice(0, 200).toWellFormed(), promptTokens: countTokens(prompt) };
    return replyOf(call, () => textAnswer(JSON.stringify(value)));
  }
  return replyOf(call, (choice) => {
    const random = call.random(`schema ${choice}`);
    return textAnswer(JSON.stringify(makeValue(schema, { random, prompt, param: "response_format" })));
  });
}
