import type { JsonObject, Metadata } from "../contract/chat.ts";
import type { ErrorCode } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import type { Variables } from "../contract/templates.ts";
import type { Trigger, VariableMapping } from "../contract/triggers.ts";
import { AppError } from "./errors.ts";
import {
  type Budget,
  type Expression,
  type ExpressionInput,
  evaluate,
  messageOf,
  parseExpression,
} from "./expressions.ts";
import { isObject } from "./json.ts";
import { propertiesOf } from "./schemaPaths.ts";

/** What is mapped: the body to the letter, and what expressions see. */
export type MappingInput = ExpressionInput & { text: string };

type Source = {
  name: string;
  /** What it is called in errors, such as `variables.title`. */
  param: string;
  from: VariableMapping;
  expression: Expression | null;
};

/** A trigger's mapping with its expressions parsed, each once. */
export type ParsedMapping = {
  filter: Expression | null;
  variables: readonly Source[];
  metadata: readonly Source[];
  /** Headers that it reads, in lower case. */
  headers: readonly string[];
};

/** Throws `invalid_request` whose `param` is `filter`, `variables.NAME` or `metadata.NAME`. */
export function parseMapping(trigger: Pick<Trigger, "filter" | "variables" | "metadata">): ParsedMapping {
  const { filter } = trigger;
  const parsedFilter = filter === null ? null : parseExpression(filter, "filter");
  const sources = (field: "variables" | "metadata") =>
    Object.entries(trigger[field]).map(([name, from]): Source => {
      const param = `${field}.${name}`;
      return { name, param, from, expression: "expression" in from ? parseExpression(from.expression, param) : null };
    });
  const [variables, metadata] = [sources("variables"), sources("metadata")];
  const named = [...variables, ...metadata].flatMap(({ from, expression }) =>
    "header" in from ? [from.header.toLowerCase()] : (expression?.headers ?? []),
  );
  return {
    filter: parsedFilter,
    variables,
    metadata,
    headers: [...new Set([...named, ...(parsedFilter?.headers ?? [])])],
  };
}

/** What could not be mapped, with the expression at fault. */
export function mappingFault(
  param: string,
  expression: string | null,
  reason: string,
  code: ErrorCode = "invalid_request",
) {
  return new AppError(code, `${param}: ${reason}`, { param, details: { expression } });
}

/** Whether the filter lets an event through: JMESPath counts false, null and all that is empty as false. */
export function matches({ filter }: ParsedMapping, input: MappingInput, budget: Budget): boolean {
  if (!filter) return true;
  const value = evaluated(filter, { input, budget, param: "filter" });
  if (value === null || value === undefined || value === false || value === "") return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

type MappingRun = { input: MappingInput; budget: Budget };

export type Mapped = {
  variables: Variables;
  /** Names of those whose text was longer than may be. */
  cut: string[];
};

/**
 * A template's variables out of a payload. Null leaves a variable out, so that the template's default holds. Values take
 * the type that the template declares where that loses nothing: numbers and objects become text, digits a number.
 * Everything is data: characters that are no text are replaced, long text is cut. Throws `invalid_request` naming the
 * variable, with the expression in the details.
 */
export function mapVariables(mapping: ParsedMapping, schema: JsonObject, run: MappingRun): Mapped {
  const declared = propertiesOf(schema);
  const variables: Variables = {};
  const cut: string[] = [];
  for (const source of mapping.variables) {
    const { name, param, expression } = source;
    const typed = foundIn(source, run, declared[name]);
    if (typed === null) continue;
    const bound = boundOf(source) ?? limits.mappedChars;
    const capped = typeof typed === "string" ? cutTo(typed, bound) : typed;
    if (capped !== typed) cut.push(name);
    if (typeof capped === "object" && JSON.stringify(capped).length > bound)
      throw mappingFault(param, expression?.text ?? null, `the value is longer than ${bound} characters`, "too_large");
    Object.defineProperty(variables, name, {
      value: asText(capped),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return { variables, cut };
}

/**
 * A run's metadata out of a payload: text, of `limits.maxMetadataValueChars` at most, longer one is cut. Null leaves a pair
 * out. Throws as `mapVariables` does.
 */
export function mapMetadata(mapping: ParsedMapping, run: MappingRun): Metadata {
  const pairs = mapping.metadata.flatMap((source) => {
    const value = foundIn(source, run, { type: "string" });
    if (value === null) return [];
    const bound = Math.min(boundOf(source) ?? limits.maxMetadataValueChars, limits.maxMetadataValueChars);
    return [[source.name, String(asText(cutTo(String(value), bound)))] as const];
  });
  return Object.fromEntries(pairs);
}

const boundOf = ({ from }: Source) => ("maxChars" in from ? from.maxChars : undefined);

/** As the schema declares it; null: there is none. */
function foundIn({ param, from, expression }: Source, run: MappingRun, schema: unknown): unknown {
  const found = expression ? evaluated(expression, { ...run, param }) : sourceOf(from, run.input, schema);
  const value = found ?? ("default" in from ? from.default : undefined) ?? null;
  return value === null ? null : asDeclared(value, schema);
}

type Evaluation = MappingRun & { param: string };

function evaluated(expression: Expression, { input, budget, param }: Evaluation): unknown {
  try {
    return evaluate(expression, input, budget);
  } catch (thrown) {
    throw mappingFault(param, expression.text, messageOf(thrown));
  }
}

function sourceOf(mapping: VariableMapping, { text, body, headers }: MappingInput, schema: unknown): unknown {
  if ("value" in mapping) return mapping.value;
  if ("header" in mapping) return headers[mapping.header.toLowerCase()];
  return typesOf(schema).includes("string") ? text : body;
}

function asDeclared(value: unknown, schema: unknown): unknown {
  const types = typesOf(schema);
  if (types.length === 0) return value;
  if (
    types.includes("string") &&
    typeof value !== "string" &&
    !typesOfValue(value).some((type) => types.includes(type))
  )
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  if (typeof value !== "string" || types.includes("string")) return value;
  if (types.some((type) => type === "number" || type === "integer") && /^-?\d{1,15}(?:\.\d{1,15})?$/.test(value))
    return Number(value);
  if (types.includes("boolean") && (value === "true" || value === "false")) return value === "true";
  return value;
}

function typesOf(schema: unknown): unknown[] {
  const type = isObject(schema) ? schema["type"] : undefined;
  return type === undefined ? [] : [type].flat();
}

function typesOfValue(value: unknown): string[] {
  if (Array.isArray(value)) return ["array"];
  return Number.isInteger(value) ? ["integer", "number"] : [typeof value];
}

/** Cut between characters, not inside one. */
function cutTo(text: string, chars: number): string {
  if (text.length <= chars) return text;
  const end = /[\uD800-\uDBFF]/.test(text.charAt(chars - 1)) ? chars - 1 : chars;
  return text.slice(0, end);
}

/** NUL and half surrogate pairs are no text, and have no place in a request of ours. */
function asText(value: unknown): unknown {
  if (typeof value === "string") return value.toWellFormed().replaceAll("\u0000", "\uFFFD");
  if (Array.isArray(value)) return value.map(asText);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [asText(key), asText(inner)]));
}
