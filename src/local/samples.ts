import type * as z from "zod";
import type { CreateTemplateInput } from "../contract/templates.ts";

/** Templates a new installation starts with: each shows one thing. A snippet comes before the template that includes it. */
export const sampleTemplates: z.input<typeof CreateTemplateInput>[] = [
  {
    name: "greeting",
    description: "A greeting in two languages: two variables, one with a default.",
    listed: true,
    content: {
      messages: [
        { role: "system", content: "You are a friendly host. Answer with one short greeting in {{language}}." },
        { role: "user", content: "你好，{{name}}！Hello, {{name}}!" },
      ],
      variables: {
        type: "object",
        properties: {
          name: { type: "string", minLength: 1, maxLength: 100 },
          language: { type: "string", default: "Chinese and English" },
        },
        required: ["name"],
        additionalProperties: false,
      },
      model: "sim/echo",
    },
  },
  {
    name: "style",
    description: "A snippet that other templates include.",
    content: { text: "Write plainly, in short sentences, without headings or lists." },
  },
  {
    name: "summarise",
    description: "A summary of a given length: a typed variable and an included snippet.",
    content: {
      messages: [
        { role: "system", content: "Summarise the text in {{sentences}} sentences. {{> style}}" },
        { role: "user", content: "{{text}}" },
      ],
      variables: {
        type: "object",
        properties: {
          text: { type: "string", minLength: 1 },
          sentences: { type: "integer", minimum: 1, maximum: 10, default: 3 },
        },
        required: ["text"],
        additionalProperties: false,
      },
      model: "sim/echo",
      params: { temperature: 0.3 },
    },
  },
  {
    name: "extract",
    description: "Facts from a text as JSON that fits a schema.",
    content: {
      messages: [
        { role: "system", content: "Extract the person from the text. Answer with JSON alone." },
        { role: "user", content: "{{text}}" },
      ],
      variables: {
        type: "object",
        properties: { text: { type: "string", minLength: 1 } },
        required: ["text"],
        additionalProperties: false,
      },
      model: "sim/schema",
      responseFormat: {
        type: "json_schema",
        json_schema: {
          name: "person",
          strict: true,
          schema: {
            type: "object",
            properties: {
              name: { type: "string" },
              age: { type: "integer", minimum: 0, maximum: 150 },
              topics: { type: "array", items: { type: "string" }, minItems: 1, maxItems: 5 },
            },
            required: ["name", "age", "topics"],
            additionalProperties: false,
          },
        },
      },
    },
  },
];
