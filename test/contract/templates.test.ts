import { describe, expect, it } from "vitest";
import { SaveTemplateInput, VersionContent } from "../../src/contract/templates.ts";
import { invalidRequest } from "../../src/core/errors.ts";

/** What a caller is told of `messages` that a version cannot hold; null when it can. */
function refused(...messages: unknown[]): { param: string | null; message: string } | null {
  const { error } = SaveTemplateInput.safeParse({ name: "a", content: { messages } });
  if (!error) return null;
  const { param, message } = invalidRequest(error);
  return { param, message };
}

const call = { id: "c1", type: "function", function: { name: "look", arguments: '{"city":"{{city}}"}' } };
const user = { role: "user", content: "Hi" };

describe("a template's messages", () => {
  it("may call tools, answer as tools and hold any other field", () => {
    const messages = [
      user,
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "assistant", tool_calls: [call] },
      { role: "assistant", content: null, function_call: { name: "look", arguments: "{}" } },
      { role: "tool", content: "sunny", tool_call_id: "c1" },
      { type: "placeholder", name: "history" },
      { role: "user", content: [{ type: "text", text: "And {{city}}?" }], name: "Ann", type: "message" },
    ];
    expect(refused(...messages)).toBeNull();
    expect(VersionContent.parse({ messages })).toEqual({ messages });
  });

  it.each<[unknown, string]>([
    [{ role: "robot", content: "Hi" }, "role"],
    [{ content: "Hi" }, "role"],
    [{ role: "user", content: 5 }, "content"],
    [{ role: "user", content: null }, "content"],
    [{ role: "user" }, "content"],
    [{ role: "assistant", content: null }, "content"],
    [{ role: "assistant", content: null, tool_calls: [] }, "content"],
    [{ role: "assistant", content: null, function_call: null }, "content"],
    [{ role: "user", content: null, tool_calls: [call] }, "content"],
    [{ role: "user", content: [{ text: "Hi" }] }, "content.0.type"],
    [{ type: "placeholder" }, "name"],
    [{ type: "placeholder", name: "two words" }, "name"],
    [{ type: "placeholder", name: "history", role: "user" }, "role"],
    [{ type: "other", name: "history" }, "role"],
  ])("are refused at the field at fault: %j", (message, field) => {
    expect(refused(user, message)).toEqual({
      param: `content.messages.1.${field}`,
      message: expect.stringContaining(`content.messages.1.${field}: `),
    });
  });

  it.each(["Hi", null, 5, []])("are objects, not %j", (message) => {
    expect(refused(message)).toMatchObject({ param: "content.messages.0" });
  });
});
