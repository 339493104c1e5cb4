import { describe, expect, it } from "vitest";
import { contentChanges, textDiff } from "../../src/core/diff.ts";

describe("the difference of two contents", () => {
  it("names each changed field by its dotted path", () => {
    const before = {
      messages: [{ role: "user" as const, content: "Hi" }],
      model: "a",
      params: { temperature: 0 },
    };
    const after = {
      messages: [
        { role: "user" as const, content: "Hello" },
        { type: "placeholder" as const, name: "history" },
      ],
      params: { temperature: 1, top_p: 0.5 },
    };
    expect(contentChanges(before, after)).toEqual([
      { path: "messages.0.content", kind: "changed", before: "Hi", after: "Hello" },
      { path: "messages.1", kind: "added", after: { type: "placeholder", name: "history" } },
      { path: "model", kind: "removed", before: "a" },
      { path: "params.temperature", kind: "changed", before: 0, after: 1 },
      { path: "params.top_p", kind: "added", after: 0.5 },
    ]);
    expect(contentChanges(before, structuredClone(before))).toEqual([]);
  });

  it("shows the texts line by line, headed by the roles", () => {
    const content = (first: string, role: "user" | "assistant") => ({
      messages: [
        { role: "system" as const, content: `${first}\nBe brief.` },
        { type: "placeholder" as const, name: "history" },
        { role, content: [{ type: "text", text: "{{question}}" }] },
      ],
    });
    expect(textDiff(content("Be kind.", "user"), content("Be strict.", "assistant")).split("\n")).toEqual([
      " [system]",
      "-Be kind.",
      "+Be strict.",
      " Be brief.",
      " [placeholder history]",
      "-[user]",
      "+[assistant]",
      " {{question}}",
    ]);
    expect(textDiff(content("a", "user"), content("a", "user"))).toBe("");
  });

  it("shows a snippet's lines as they are", () => {
    expect(textDiff({ text: "a\nb\n" }, { text: "a\nc\n" }).split("\n")).toEqual([" a", "-b", "+c", " "]);
  });

  it("shows texts that have nothing in common as replaced, in bounded time", () => {
    const lines = (word: string) => Array.from({ length: 8_000 }, (_, index) => `${word}${index}`).join("\n");
    const shown = textDiff({ text: lines("a") }, { text: lines("b") }).split("\n");
    expect(shown).toHaveLength(16_000);
    expect(shown[0]).toBe("-a0");
    expect(shown[15_999]).toBe("+b7999");
  });
});
