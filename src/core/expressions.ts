import { compile, type JSONValue, TreeInterpreter } from "@jmespath-community/jmespath";
import { limits } from "../contract/limits.ts";
import { secretHeaders } from "../contract/triggers.ts";
import { AppError } from "./errors.ts";
import { isObject } from "./json.ts";

type Node = ReturnType<typeof compile>;

/** A JMESPath expression, parsed and checked. */
export type Expression = {
  text: string;
  node: Node;
  /** Values of these nodes are looked at whole: what is compared, or tested for being false. */
  weighed: ReadonlySet<Node>;
  /** Headers that it names, in lower case. */
  headers: readonly string[];
  /** Whether its value may depend on headers at all. */
  readsHeaders: boolean;
};

/** The variable in which an expression finds the headers. */
const headersVariable = "headers";

/**
 * Parses an expression of JMESPath (the community edition's). Its input is the payload; `$headers` holds the request's
 * kept headers by lower-case name. `let` is not taken. Throws `invalid_request` with the reason and `param`.
 */
export function parseExpression(text: string, param: string): Expression {
  const refuse = (reason: string) => new AppError("invalid_request", `${param}: ${reason}`, { param });
  if (text.length > limits.maxExpressionChars)
    throw refuse(`an expression has at most ${limits.maxExpressionChars} characters`);
  let node: Node;
  try {
    node = compile(text);
  } catch (thrown) {
    throw refuse(`not a JMESPath expression: ${messageOf(thrown)}`);
  }
  const weighed = new Set<Node>();
  const headers = new Set<string>();
  let readsHeaders = false;
  for (const inner of nodesOf(node)) {
    if (inner.type === "LetExpression") throw refuse("`let` is not taken");
    if (inner.type === "Variable" && inner.name !== headersVariable)
      throw refuse(`there is no variable $${inner.name}`);
    if (inner.type === "MultiSelectHash" && inner.children.some(({ name }) => name === "__proto__"))
      throw refuse(`"__proto__" is no name of a field`);
    if (inner.type === "Function" && !knownFunctions.has(inner.name))
      throw refuse(`there is no function ${inner.name}()`);
    for (const part of weighedParts(inner)) weighed.add(part);
    if (inner.type === "Variable") readsHeaders = true;
    if (inner.type === "Subexpression" && inner.left.type === "Variable" && inner.right.type === "Field") {
      // Headers have no case, and are kept in lower case: the expression asks for them so.
      (inner.right as { name: string }).name = inner.right.name.toLowerCase();
      if (secretHeaders.test(inner.right.name)) throw refuse(`the header ${inner.right.name} is secret`);
      headers.add(inner.right.name);
    }
  }
  return { text, node, weighed, headers: [...headers], readsHeaders };
}

function weighedParts(node: Node): Node[] {
  switch (node.type) {
    case "Comparator":
      return [node.left, node.right];
    case "OrExpression":
    case "AndExpression":
      return [node.left];
    case "NotExpression":
      return [node.child];
    case "Ternary":
    case "FilterProjection":
      return [node.condition];
    default:
      return [];
  }
}

/** What an expression may still cost, in steps: shared by all of one event. */
export type Budget = { steps: number };

export function newBudget(): Budget {
  return { steps: limits.maxExpressionSteps };
}

export type ExpressionInput = { body: unknown; headers: Readonly<Record<string, string>> };

/** Makes the library's own interpreter, which it exports an instance of: one's functions call back into that one alone. */
const Interpreter = TreeInterpreter.constructor as new () => typeof TreeInterpreter;

/** Functions whose result may be far larger than their arguments, and are of little use here. */
const boundless = ["pad_left", "pad_right", "replace"];
const knownFunctions = new Set(
  Object.keys(TreeInterpreter.runtime._functionTable).filter((name) => !boundless.includes(name)),
);

/**
 * The value of an expression. Costs are counted and not timed, as clocks stand still in a Worker: a step for each visit
 * of a node, and the size of what functions, comparisons and new lists work on. Throws an `Error` that says what is
 * wrong, when the expression does not fit the payload or the budget is used up.
 */
export function evaluate(expression: Expression, input: ExpressionInput, budget: Budget): unknown {
  const interpreter = new Interpreter();
  const { visit } = TreeInterpreter;
  const { callFunction } = interpreter.runtime;
  const sizes = new WeakMap<object, number>();
  const spend = (steps: number) => {
    budget.steps -= steps;
    if (budget.steps < 0) throw new Error(`more than ${limits.maxExpressionSteps} steps`);
  };
  /** Parts that a value holds several times count each time, as they do once it is written out. */
  const sizeOf = (value: unknown): number => {
    if (typeof value === "string") return 1 + value.length / charsPerStep;
    if (typeof value !== "object" || value === null) return 1;
    const known = sizes.get(value);
    if (known !== undefined) return known;
    spend(1);
    let size = 1;
    for (const [key, inner] of Object.entries(value)) size += 1 + key.length / charsPerStep + sizeOf(inner);
    if (size > limits.maxExpressionSteps) throw new Error("a value is too large");
    sizes.set(value, size);
    return size;
  };
  interpreter.visit = (node, value) => {
    spend(1);
    // The library would find what every object of the language has.
    if (node.type === "Field" && !hasField(value, node.name)) return null;
    if (node.type === "Slice" && typeof value === "string") spend(value.length / charsPerStep);
    if (node.type === "Slice" && Array.isArray(value)) spend(value.length / partsPerStep);
    if (node.type === "Variable") return { ...input.headers };
    const result = visit.call(interpreter, node, value);
    if (makesLists.has(node.type)) spend(Array.isArray(result) ? result.length : 1);
    if (makesLists.has(node.type) || expression.weighed.has(node as Node)) spend(sizeOf(result) / partsPerStep);
    return result;
  };
  interpreter.runtime.callFunction = (name, args) => {
    for (const arg of args) if (!isReference(arg)) spend(sizeOf(arg));
    // At worst the one is compared with the other at each of its characters.
    if (seeking.has(name)) {
      const [text, sought] = args;
      if (typeof text === "string" && typeof sought === "string")
        spend((text.length * sought.length) / seekCharsPerStep);
    }
    if (name === "join") spend((sizeOf(args[0]) * sizeOf(args[1])) / partsPerStep);
    return callFunction.call(interpreter.runtime, name, args);
  };
  return interpreter.search(expression.node, input.body as JSONValue);
}

/** Characters and parts that are looked at in the time of a visit. */
const charsPerStep = 4;
const partsPerStep = 4;
const seekCharsPerStep = 200;
const seeking = new Set(["contains", "find_first", "find_last", "split"]);
const makesLists = new Set(["MultiSelectList", "MultiSelectHash", "Flatten"]);

const hasField = (value: unknown, name: string) => isObject(value) && Object.hasOwn(value, name);
const isReference = (arg: unknown) => typeof arg === "object" && arg !== null && "expref" in arg;

function* nodesOf(node: unknown): Generator<Node> {
  if (typeof node !== "object" || node === null) return;
  if (Array.isArray(node)) {
    for (const inner of node) yield* nodesOf(inner);
    return;
  }
  const { type } = node as { type?: unknown };
  if (typeof type === "string") yield node as Node;
  // The value of a literal is data.
  if (type !== "Literal") for (const inner of Object.values(node)) yield* nodesOf(inner);
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
