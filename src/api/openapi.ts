import * as z from "zod";
import { JsonObject } from "../contract/chat.ts";
import { ChatCompletionRequest } from "../contract/completions.ts";
import { ErrorEnvelope, errorTable } from "../contract/errors.ts";
import { HookAnswer } from "../contract/events.ts";
import { BackgroundChatRequest, RunObject } from "../contract/openaiRuns.ts";

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

/** A relay's body and a job's in one; that a job has one choice is no matter of the other. */
const { n: _, ...jobFields } = BackgroundChatRequest.shape;
const ChatRequest = z.looseObject({ ...jobFields, ...ChatCompletionRequest.shape });
const header = (description: string) => ({ description, schema: { type: "string" } });
const eventStream = { "text/event-stream": { schema: { type: "string" } } };
const runId = { name: "id", in: "path", required: true, schema: { type: "string" } };
const job = { ...json(RunObject, "A job, with `background: true`"), headers: { location: header("The run") } };

/** Jobs, and runs of any kind. */
const runPaths = () => ({
  "/v1/runs/{id}": {
    get: {
      summary: "A run's status, and its answer or what there is of it",
      parameters: [runId],
      responses: { "200": json(RunObject, "The run"), ...failures() },
    },
  },
  "/v1/runs/{id}/events": {
    get: {
      summary: "A run's answer as it comes, from the start or after an event",
      parameters: [
        runId,
        { name: "Last-Event-ID", in: "header", ...header("Id of the last event seen") },
        { name: "after", in: "query", ...header("The same, where no header can be sent; the header has precedence") },
      ],
      responses: {
        "200": {
          description: "Events of `chat.completion.chunk` with ids; `restart` where the text begins anew",
          content: eventStream,
        },
        ...failures(),
      },
    },
  },
  "/v1/runs/{id}/cancel": {
    post: {
      summary: "Ends a job with what has arrived",
      parameters: [runId],
      responses: { "200": json(RunObject, "The run as it has ended, by this or before"), ...failures() },
    },
  },
});

/** Where other systems post their events. */
const hookPaths = () => ({
  "/hooks/{triggerId}": {
    post: {
      summary: "Receives an event: signed as the trigger demands, of any type of content",
      security: [],
      parameters: [{ name: "triggerId", in: "path", required: true, schema: { type: "string" } }],
      requestBody: { required: true, content: { "*/*": { schema: {} } } },
      responses: {
        "200": json(
          HookAnswer,
          "An event that was received before, or one whose result is in the answer; `{challenge}` to Slack's verification",
        ),
        "202": json(HookAnswer, "The event is on record, and its run will come to an end"),
        ...failures(),
      },
    },
  },
});

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
          requestBody: { required: true, content: { "application/json": { schema: schemaOf(ChatRequest) } } },
          responses: {
            "200": {
              description: "The upstream's answer: JSON, or events of `chat.completion.chunk` when `stream` is true",
              headers: { "x-weir-run-id": { schema: { type: "string" } } },
              content: { "application/json": { schema: schemaOf(JsonObject) }, ...eventStream },
            },
            "202": job,
            ...failures(),
          },
        },
      },
      ...runPaths(),
      ...hookPaths(),
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
