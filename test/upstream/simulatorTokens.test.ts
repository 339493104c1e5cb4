import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tokens } from "../../src/upstream/simulator/tokens.ts";
import { ask, askJson, askStream, type Loose, piecesOf } from "../support/simulator.ts";

/** Any UTF-16 text, lone surrogates included, and texts of the scripts that models write. */
const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.array(fc.constantFrom("\ud83d", "\ude00", "a", "堰")).map((units) => units.join("")),
  fc
    .array(
      fc.constantFrom(
        "你好",
        "，",
        "世界",
        " weir",
        "👩‍👩‍👧",
        "é",
        "e\u0301",
        "한국",
        "カナ",
        "\r\n",
        "\t",
        "123456",
        "…",
      ),
    )
    .map((parts) => parts.join("")),
);

describe("tokens", () => {
  it("cover every text and never split a surrogate pair", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const pieces = [...tokens(text)];
        expect(pieces.join("")).toBe(text);
        expect(pieces.every((piece) => piece.length > 0 && piece.length <= 16)).toBe(true);
        if (text.isWellFormed()) expect(pieces.every((piece) => piece.isWellFormed())).toBe(true);
      }),
    );
  });

  it("are one or two characters of Chinese and pieces of words elsewhere", () => {
    expect([...tokens("堰是矮坝，让水流过")]).toEqual(["堰是", "矮坝", "，", "让水", "流过"]);
    expect([...tokens("The weir measures 12345 litres")]).toEqual([
      "The",
      " weir",
      " measur",
      "es",
      " 123",
      "45",
      " litres",
    ]);
  });
});

describe("streams of any text", () => {
  it("echo it whole: joined deltas, the plain answer and the prompt are the same", async () => {
    await fc.assert(
      fc.asyncProperty(anyText, async (prompt) => {
        const { content, chunks, finishReason } = await askStream({ model: "sim/echo", prompt });
        expect(content).toBe(prompt);
        expect(finishReason).toBe("stop");
        expect(chunks).toHaveLength(2 + [...tokens(prompt)].length);
        expect((await askJson({ model: "sim/echo", prompt })).choices[0].message.content).toBe(prompt);
      }),
      { numRuns: 60 },
    );
  });

  it("come one event a piece", async () => {
    const pieces = await piecesOf(await ask({ model: "sim/echo", prompt: "一二三四五", body: { stream: true } }));
    expect(pieces).toHaveLength(1 + 3 + 1 + 1);
    for (const piece of pieces)
      expect(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(piece)).toMatch(/^data: .*\n\n$/);
  });

  it("join the text parts of the last user message", async () => {
    const messages = [
      { role: "user", content: "earlier" },
      {
        role: "user",
        content: [
          { type: "text", text: "看" },
          { type: "image_url", image_url: { url: "data:," } },
          { type: "text", text: "this" },
        ],
      },
      { role: "assistant", content: "later" },
    ];
    const answer = await askJson({ model: "sim/echo", body: { messages } });
    expect(answer.choices[0].message.content).toBe("看this");
    expect(answer.usage.prompt_tokens).toBe(
      [..."earlier 看this later".split(" ")].flatMap((text) => [...tokens(text)]).length,
    );
  });
});

describe("bounds of an answer", () => {
  it("cut after max_tokens with finish reason length, and not when the text just fits", async () => {
    const prompt = "one two three four";
    for (const field of ["max_tokens", "max_completion_tokens"]) {
      const { content, finishReason, chunks } = await askStream({
        model: "sim/echo",
        prompt,
        body: { [field]: 3, stream_options: { include_usage: true } },
      });
      expect([content, finishReason]).toEqual(["one two three", "length"]);
      expect(chunks.at(-1).usage.completion_tokens).toBe(3);
    }
    expect((await askStream({ model: "sim/echo", prompt, body: { max_tokens: 4 } })).finishReason).toBe("stop");
  });

  it("count reasoning before content", async () => {
    const { content, reasoning, finishReason } = await askStream({ model: "sim/reasoning", body: { max_tokens: 2 } });
    expect([content, [...tokens(reasoning)].length, finishReason]).toEqual(["", 2, "length"]);
  });

  it("cut a tool's arguments, never its name", async () => {
    const prompt = 'tool lookup {"a":1}\nsay never';
    const cut = (await askJson({ model: "sim/script", prompt, body: { max_tokens: 3 } })).choices[0];
    expect(cut.finish_reason).toBe("length");
    expect(cut.message.tool_calls[0].function).toEqual({ name: "lookup", arguments: '{"a' });
    const none = (await askJson({ model: "sim/script", prompt: "tool longername {}", body: { max_tokens: 1 } }))
      .choices[0];
    expect([none.finish_reason, none.message.tool_calls]).toEqual(["length", undefined]);
  });

  it("stop before the first of the stop strings, wherever tokens and segments fall", async () => {
    const at = async (prompt: string, stop: unknown, model = "sim/echo") => {
      const { content, finishReason } = await askStream({ model, prompt, body: { stop } });
      return [content, finishReason];
    };
    expect(await at("measurement goes on", "remen")).toEqual(["measu", "stop"]);
    expect(await at("one two three", ["three", " two"])).toEqual(["one", "stop"]);
    expect(await at("one two three", ["", "absent"])).toEqual(["one two three", "stop"]);
    expect(await at("say on\nsay e two\nfinish odd", "ne t", "sim/script")).toEqual(["o", "stop"]);
    expect(await at("smile 😀", "\ude00")).toEqual(["smile 😀", "stop"]);
  });

  it("end with the earlier of both: a stop string behind max_tokens does not count", async () => {
    const body = { stop: "three", max_tokens: 1 };
    expect(await askStream({ model: "sim/echo", prompt: "one two three", body })).toMatchObject({
      content: "one",
      finishReason: "length",
    });
  });
});

describe("log probabilities", () => {
  const body = { logprobs: true, top_logprobs: 5 };

  it("come with every content token, the chosen one first, with its bytes", async () => {
    const { content } = (await askJson({ model: "sim/echo", prompt: "水 flows", body })).choices[0].logprobs;
    expect(content.map((entry: Loose) => entry.token)).toEqual(["水", " flows"]);
    expect(content[0].bytes).toEqual([0xe6, 0xb0, 0xb4]);
    for (const { token, logprob, bytes, top_logprobs } of content) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top_logprobs).toHaveLength(5);
      expect(top_logprobs[0]).toEqual({ token, logprob, bytes });
      expect(new Set(top_logprobs.map((entry: Loose) => entry.token)).size).toBe(5);
      const sorted = top_logprobs.map((entry: Loose) => entry.logprob);
      expect(sorted).toEqual([...sorted].sort((a, b) => b - a));
    }
  });

  it("are the same in a stream, and null where nothing was asked", async () => {
    const whole = (await askJson({ model: "sim/echo", prompt: "水 flows", body })).choices[0].logprobs.content;
    const { chunks } = await askStream({ model: "sim/echo", prompt: "水 flows", body });
    expect(chunks.flatMap((chunk) => chunk.choices[0].logprobs?.content ?? [])).toEqual(whole);
    const plain = await askStream({ model: "sim/echo", prompt: "水 flows" });
    expect(plain.chunks.every((chunk) => chunk.choices[0].logprobs === null)).toBe(true);
  });

  it("serve as many alternatives as may be asked for, and none unasked", async () => {
    const many = await askJson({
      model: "sim/echo",
      prompt: " the".repeat(12),
      body: { logprobs: true, top_logprobs: 20 },
    });
    for (const { token, top_logprobs } of many.choices[0].logprobs.content) {
      expect([token, new Set(top_logprobs.map((entry: Loose) => entry.token)).size]).toEqual([" the", 20]);
    }
    const none = await askJson({ model: "sim/echo", prompt: "the", body: { logprobs: true } });
    expect(none.choices[0].logprobs.content[0].top_logprobs).toEqual([]);
  });
});

describe("sim/reasoning", () => {
  it("thinks before it answers, under the field name that is asked for", async () => {
    const { chunks, reasoning, content } = await askStream({
      model: "sim/reasoning",
      body: { stream_options: { include_usage: true } },
    });
    const kinds = chunks.map((chunk) => Object.keys(chunk.choices[0]?.delta ?? {}).at(-1));
    expect(kinds.lastIndexOf("reasoning")).toBeLessThan(kinds.indexOf("content", 1));
    const details = chunks.at(-1).usage;
    expect(details.completion_tokens_details.reasoning_tokens).toBe([...tokens(reasoning)].length);
    expect(details.completion_tokens).toBe([...tokens(reasoning), ...tokens(content)].length);
    const renamed = await askJson({ model: "sim/reasoning", body: { reasoning_field: "reasoning_content" } });
    expect(renamed.choices[0].message).toMatchObject({ reasoning_content: expect.stringContaining("Hello") });
    expect(renamed.choices[0].message).not.toHaveProperty("reasoning");
    const stream = await askStream({ model: "sim/reasoning", body: { reasoning_field: "reasoning_content" } });
    expect(stream.chunks.some((chunk) => "reasoning_content" in chunk.choices[0].delta)).toBe(true);
    expect(stream.reasoning).toBe("");
  });
});
