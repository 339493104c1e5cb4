import * as z from "zod";
import { JsonObject } from "../contract/chat.ts";
import { ChatCompletionRequest } from "../contract/completions.ts";
import { ErrorEnvelope, errorTable } from "../contract/errors.ts";

const ModelObject = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.number().int(),
  owned_by: z.string(),
  name: z.string(),
  context_length: z.number().int().nullable(),
});
const ModelsAnswer = z.object({ object: z.literal("list"), data: z.array(ModelObject) });
const Health = z.object({ status: z.string(), missing: z.array(z.string()).optional() });

const schemaOf = (schema: z.ZodType) => z.toJSONSchema(schema, { io: "input", target: "openapi-3.0" });
const json = (schema: z.ZodType, description: string) => ({
  description,
  content: { "application/json": { schema: schemaOf(schema) } },
});

/** Every status of the table of errors, in OpenAI's envelope. */
function failures(): Record<string, unknown> {
  const codes = Object.entries(errorTable);
  const statuses = [...new Set(codes.map(([, { status }]) => status))];
  return Object.fromEntries(
    statuses.map((status) => [
      String(status),
      json(ErrorEnvelope, codes.flatMap(([code, row]) => (row.status === status ? [code] : [])).join(", ")),
    ]),
  );
}

let document: object | undefined;

/** OpenAPI 3 of the HTTP doors, described from the schemas that check them; built once per isolate. */
export function openapi(): object {
  document ??= {
    openapi: "3.0.3",
    info: { title: "weir", version: "0.1.0", license: { name: "MIT" } },
    components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
    security: [{ key: [] }],
    paths: {
      "/v1/chat/completions": {
        post: {
          summary: "Runs a completion, of messages or of a stored template",
          requestBody: { required: true, content: { "application/json": { schema: schemaOf(ChatCompletionRequest) } } },
          responses: {
            "200": {
              description: "The upstream's answer: JSON, or events of `chat.completion.chunk` when `stream` is true",
              headers: { "x-weir-run-id": { schema: { type: "string" } } },
              content: {
                "application/json": { schema: schemaOf(JsonObject) },
                "text/event-stream": { schema: { type: "string" } },
              },
            },
            ...failures(),
          },
        },
      },
      "/v1/models": {
        get: { summary: "Models", responses: { "200": json(ModelsAnswer, "All models"), ...failures() } },
      },
      "/v1/models/{id}": {
        get: {
          summary: "One model; its id may hold slashes",
          parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }],
          responses: { "200": json(ModelObject, "The model"), ...failures() },
        },
      },
      "/healthz": {
        get: { summary: "Whether the Worker answers", security: [], responses: { "200": json(Health, "It does") } },
      },
      "/readyz": {
        get: {
          summary: "Whether completions can be served",
          security: [],
          responses: { "200": json(Health, "They can"), "503": json(Health, "What is missing") },
        },
      },
    },
  };
  return document;
}
