import type { ChatMessage, JsonObject, Metadata } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import type { Selector, Variables, VersionContent } from "../contract/templates.ts";
import type { Candidate } from "./attempts.ts";
import { quotaIdsOf } from "./budgets.ts";
import type { CompletionRequest } from "./completionRequest.ts";
import { atPlace } from "./errorPlaces.ts";
import { AppError, toAppError } from "./errors.ts";
import { newId } from "./ids.ts";
import { isObject } from "./json.ts";
import type { Principal } from "./principal.ts";
import { type ResolvedTemplate, renderPrompt } from "./prompt.ts";
import type { Timeouts } from "./relay.ts";
import type { RunStart, RunTemplate } from "./runRecord.ts";
import { type TimeoutDefaults, timeoutsFor } from "./timeouts.ts";
import type { RouteModel } from "./upstreams.ts";
import { assertUsableSchema } from "./variableSchema.ts";

export type PreparePorts = {
  resolveTemplate: (projectId: string, name: string, selector?: Selector) => Promise<ResolvedTemplate>;
  routeModel: RouteModel;
  timeouts: TimeoutDefaults;
};

/** A completion ready to be sent: nothing has been written or sent yet. */
export type Prepared = {
  start: RunStart;
  /** The model asked for, then its fallbacks, each with where it is served. */
  candidates: readonly [Candidate, ...Candidate[]];
  /** The upstream's body, whole but for the model. */
  body: JsonObject;
  timeouts: Timeouts;
  variables: Variables | null;
  /** JSON Schema that the answer must fit; null when none was asked for. */
  outputSchema: JsonObject | null;
  hideUsage: boolean;
};

/** Resolves, validates and renders; whatever is wrong with a request is found here and costs nothing. */
export async function prepare(
  ports: PreparePorts,
  principal: Principal,
  request: CompletionRequest,
): Promise<Prepared> {
  if (principal.kind === "publishable") checkPublishable(request);
  const filled = request.template ? await fill(ports, principal, request, request.template) : null;
  const content = filled?.resolved.content;
  const model = request.model ?? content?.model;
  if (!model) throw new AppError("invalid_request", "model: the template names none, so give one", { param: "model" });
  const messages = filled?.messages ?? request.messages;
  if (messages.length === 0)
    throw new AppError("invalid_request", "messages: the template renders none, so give some", { param: "messages" });
  if (messages.length > limits.maxMessages)
    throw new AppError("invalid_request", `messages: at most ${limits.maxMessages}`, { param: "messages" });
  const fallbacks = request.fallbacks ?? (request.model === undefined ? content?.fallbacks : undefined) ?? [];
  const candidates = await findCandidates(ports, principal.projectId, [model, ...fallbacks]);
  const { route } = candidates[0];
  const fields = { ...(content && templateFields(content)), ...request.fields };
  checkFields(fields);
  const nowMs = Date.now();
  return {
    start: {
      id: newId("run", nowMs),
      projectId: principal.projectId,
      createdAtMs: nowMs,
      source: request.source,
      keyId: principal.keyId,
      stream: request.stream,
      simulated: route.simulated,
      template: filled && runTemplate(filled),
      modelAsked: model,
      metadata: filled?.metadata ?? request.metadata,
      quotaIds: quotaIdsOf(principal),
    },
    candidates,
    body: { ...fields, ...streaming(request, fields), messages },
    timeouts: timeoutsFor(ports.timeouts, route.reasoning, request.timeouts, content?.timeouts),
    variables: filled?.variables ?? null,
    outputSchema: outputSchema(fields["response_format"]),
    hideUsage: !request.includeUsage,
  };
}

/** Where each model is served now; `not_found` for one that no upstream is configured for. */
export async function findCandidates(
  ports: Pick<PreparePorts, "routeModel">,
  projectId: string,
  models: readonly string[],
): Promise<Prepared["candidates"]> {
  const candidates: Candidate[] = [];
  for (const [at, model] of models.entries()) {
    const route = await ports.routeModel(projectId, model);
    const param = at === 0 ? "model" : "fallbacks";
    if (!route) throw new AppError("not_found", `${param}: no upstream is configured for ${model}`, { param });
    candidates.push({ model, route });
  }
  return candidates as [Candidate, ...Candidate[]];
}

/** A publishable key is in everybody's browser: listed templates at `production`, with variables, and nothing else. */
function checkPublishable({ template, messages, model, fields, fallbacks, timeouts }: CompletionRequest): void {
  const refuse = (param: string, message: string) => new AppError("forbidden", `${param}: ${message}`, { param });
  if (!template) throw refuse("model", "a publishable key runs templates only");
  if (template.selector !== undefined && template.selector !== "production")
    throw refuse("version", "a publishable key runs the label production only");
  if (messages.length > 0) throw refuse("messages", "a publishable key sends variables only");
  if (model !== undefined) throw refuse("model", "a publishable key keeps the template's model");
  if (fallbacks) throw refuse("fallbacks", "a publishable key keeps the template's");
  if (timeouts) throw refuse("timeouts", "a publishable key keeps the template's");
  const { stream_options: options, ...others } = fields;
  const more = isObject(options) ? Object.keys(options).filter((name) => name !== "include_usage") : [];
  const field = Object.keys(others)[0] ?? more[0];
  if (field) throw refuse(field, "a publishable key keeps the template's parameters");
}

/** What holds between parameters, wherever each of them came from. */
function checkFields(fields: JsonObject): void {
  if (fields["top_logprobs"] !== undefined && fields["logprobs"] !== true)
    throw new AppError("invalid_request", "top_logprobs: needs `logprobs: true`", { param: "top_logprobs" });
  const schema = outputSchema(fields["response_format"]);
  if (!schema) return;
  const param = "response_format.json_schema.schema";
  try {
    assertUsableSchema(schema, param);
  } catch (thrown) {
    const { message } = toAppError(thrown);
    throw new AppError("invalid_request", `${param}: ${message}`, { param, cause: thrown });
  }
}

type Filled = {
  resolved: ResolvedTemplate;
  messages: ChatMessage[];
  variables: Variables;
  partials: RunTemplate["partials"];
  metadata: Metadata;
};

async function fill(
  ports: PreparePorts,
  principal: Principal,
  request: CompletionRequest,
  template: NonNullable<CompletionRequest["template"]>,
): Promise<Filled> {
  try {
    const resolved = await ports.resolveTemplate(principal.projectId, template.name, template.selector);
    if (principal.kind === "publishable" && !resolved.listed)
      throw new AppError("not_found", `There is no template named ${template.name}.`, { param: "template" });
    const split = template.inMetadata
      ? splitMetadata(request.metadata, resolved.variables)
      : { variables: template.variables, metadata: request.metadata };
    const rendered = renderPrompt(resolved, split.variables, request.messages);
    return { resolved, ...rendered, metadata: split.metadata };
  } catch (thrown) {
    throw atPlace(thrown, request.params);
  }
}

/** Metadata that bears the name of a declared variable is that variable, read as the type its schema gives. */
function splitMetadata(metadata: Metadata, schema: JsonObject): { variables: Variables; metadata: Metadata } {
  const declared = isObject(schema["properties"]) ? schema["properties"] : {};
  const variables: Variables = {};
  const rest: Metadata = {};
  for (const [name, text] of Object.entries(metadata)) {
    if (!Object.hasOwn(declared, name)) rest[name] = text;
    else variables[name] = fromText(text, declared[name]);
  }
  return { variables, metadata: rest };
}

function fromText(text: string, schema: unknown): unknown {
  const type = isObject(schema) ? schema["type"] : undefined;
  const types = Array.isArray(type) ? type : [type];
  if (type === undefined || types.includes("string")) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function templateFields(content: VersionContent): JsonObject {
  return {
    ...content.params,
    ...(content.tools && { tools: content.tools }),
    ...(content.toolChoice && { tool_choice: content.toolChoice }),
    ...(content.responseFormat && { response_format: content.responseFormat }),
  };
}

/** A stream's usage is always asked for: without it a run could not be accounted for. */
function streaming(request: CompletionRequest, fields: JsonObject): JsonObject {
  if (!request.stream) return {};
  const options = isObject(fields["stream_options"]) ? fields["stream_options"] : {};
  return { stream: true, stream_options: { ...options, include_usage: true } };
}

function runTemplate({ resolved, partials }: Filled): RunTemplate {
  const { templateId: id, name, version, versionId, label } = resolved;
  return { id, name, version, versionId, label, partials };
}

function outputSchema(format: unknown): JsonObject | null {
  if (!isObject(format) || format["type"] !== "json_schema" || !isObject(format["json_schema"])) return null;
  const { schema } = format["json_schema"];
  return isObject(schema) ? schema : null;
}
