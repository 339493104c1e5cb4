import type { JsonObject } from "../contract/chat.ts";
import { limits } from "../contract/limits.ts";
import type { VersionContent } from "../contract/templates.ts";
import { sha256Hex } from "./digest.ts";
import { AppError } from "./errors.ts";
import { canonicalJson } from "./json.ts";
import { parseMustache } from "./mustache.ts";
import type { Partial } from "./render.ts";
import { loadPartials } from "./templatePartials.ts";
import type { FindVersions } from "./templatePorts.ts";
import { templateTexts } from "./templateTexts.ts";
import { assertUsableSchema, assertVariableSchema, inferSchema } from "./variableSchema.ts";
import { assertDeclared, type ParsedText, variableUses } from "./variableUses.ts";

/** Contents found fit to be saved and rendered. */
export type CheckedContent = {
  kind: "chat" | "text";
  /** The schema in force: the given one, or the one its texts imply. */
  variables: JsonObject;
  partials: ReadonlyMap<string, Partial>;
};

/**
 * Everything that is asked of contents before they are saved: size, syntax, partials, the variables' schema and that
 * it declares all that the texts use, the answer's schema. Throws `invalid_template` or `too_large` naming the field.
 */
export async function checkContent(
  find: FindVersions,
  projectId: string,
  { name, content }: { name: string; content: VersionContent },
): Promise<CheckedContent> {
  assertSizes(content);
  const { variables: declared, responseFormat } = content;
  const answer = responseFormat?.type === "json_schema" ? responseFormat.json_schema.schema : undefined;
  if (answer) assertUsableSchema(answer, "content.responseFormat.json_schema.schema");
  if (declared) assertVariableSchema(declared, "content.variables");
  const texts = parsedTexts(name, content);
  const partials = await loadPartials(find, projectId, { name, texts });
  const uses = variableUses(texts, partials);
  if (declared) assertDeclared(uses, declared);
  const variables = declared ?? inferSchema(uses);
  // What is inferred may come from many snippets, so it is bounded like what is given.
  if (!declared) assertVariableSchema(variables, "content");
  return { kind: content.text === undefined ? "chat" : "text", variables, partials };
}

/** The texts of a version, parsed. Throws `invalid_template` naming template, line and column. */
export function parsedTexts(name: string, content: VersionContent): ParsedText[] {
  return templateTexts(content).map(({ path, text }) => {
    const source = { template: name, param: `content.${path}` };
    return { nodes: parseMustache(text, source), source };
  });
}

function assertSizes(content: VersionContent): void {
  const texts = templateTexts(content).map(({ text }) => text);
  const field = content.text === undefined ? "content.messages" : "content.text";
  if (bytesOf(texts.join("")) > limits.maxTemplateBytes) throw tooLarge("maxTemplateBytes", field);
  if (bytesOf(JSON.stringify(content)) > limits.maxVersionBytes) throw tooLarge("maxVersionBytes", "content");
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

function tooLarge(limit: "maxTemplateBytes" | "maxVersionBytes", param: string): AppError {
  return new AppError("too_large", `${param}: at most ${limits[limit]} bytes (${limit})`, {
    param,
    details: { limit, max: limits[limit] },
  });
}

/** SHA-256, hex, of the contents with their keys in order: what makes two contents identical. */
export function contentDigest(content: VersionContent): Promise<string> {
  return sha256Hex(canonicalJson(content));
}
