import { type Making, type Schema, spend, unsatisfiable } from "./jsonSchema.ts";
import { matching } from "./pattern.ts";

/** Values around a bound stay this near to it. */
const spread = 100;

export function makeNumber(making: Making, schema: Schema, integer: boolean): number {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
  const lows = [minimum, exclusiveMinimum].filter((bound) => typeof bound === "number");
  const highs = [maximum, exclusiveMaximum].filter((bound) => typeof bound === "number");
  const high = highs.length > 0 ? Math.min(...highs) : null;
  const low = lows.length > 0 ? Math.max(...lows) : Math.min(0, (high ?? spread) - spread);
  const window = { low, high: high === null ? low + spread : Math.min(high, Math.max(low + spread, low)) };
  const fits = (value: number) =>
    Number.isFinite(value) &&
    (typeof minimum !== "number" || value >= minimum) &&
    (typeof maximum !== "number" || value <= maximum) &&
    (typeof exclusiveMinimum !== "number" || value > exclusiveMinimum) &&
    (typeof exclusiveMaximum !== "number" || value < exclusiveMaximum);
  const candidates =
    typeof multipleOf === "number" && multipleOf > 0
      ? multiples(making, window, multipleOf, { integer, high })
      : integer
        ? integers(making, window)
        : fractions(making, window);
  const found = candidates.find((value) => fits(value) && (!integer || Number.isInteger(value)));
  if (found === undefined) throw unsatisfiable(making, "no number lies within the bounds");
  // JSON has no negative zero.
  return found === 0 ? 0 : found;
}

type Window = { low: number; high: number };

function integers(making: Making, { low, high }: Window): number[] {
  const [first, last] = [Math.ceil(low), Math.floor(high)];
  return [making.random.int(first, last), first, first + 1, last];
}

function fractions(making: Making, { low, high }: Window): number[] {
  const drawn = low + (high - low) * making.random.unit();
  return [Math.round(drawn * 100) / 100, drawn, low + (high - low) / 2, low, high];
}

function multiples(
  making: Making,
  { low, high }: Window,
  step: number,
  bounds: { integer: boolean; high: number | null },
): number[] {
  const first = Math.ceil(low / step);
  // A step wider than the window still has its first multiple above the lower bound, when nothing bounds it.
  const last = bounds.high === null ? Math.max(Math.floor(high / step), first + 10) : Math.floor(high / step);
  // Twelve digits take away what binary fractions add: 3 × 0.1 is 0.3.
  const at = (factor: number) => Number((factor * step).toPrecision(12));
  const drawn = making.random.int(first, Math.max(first, last));
  const near = Array.from({ length: bounds.integer ? spread : 2 }, (_, offset) => at(first + offset));
  return [at(drawn), ...near, at(last)];
}

/** A string of the prompt's words, or of the form that `format` or `pattern` asks for. */
export function makeString(making: Making, schema: Schema): string {
  const low = typeof schema["minLength"] === "number" ? schema["minLength"] : 0;
  const high = typeof schema["maxLength"] === "number" ? schema["maxLength"] : Number.POSITIVE_INFINITY;
  if (low > high) throw unsatisfiable(making, "no string has that length");
  spend(making, Math.ceil(low / 16));
  const fits = (text: string) => {
    const length = [...text].length;
    return length >= low && length <= high;
  };
  const format = typeof schema["format"] === "string" ? formats[schema["format"]] : undefined;
  const pattern = compiled(making, schema["pattern"]);
  const formatted = format?.(making);
  if (formatted !== undefined && fits(formatted) && (!pattern || pattern.test(formatted))) return formatted;
  if (formatted !== undefined) throw unsatisfiable(making, "its format does not go with its length or pattern");
  const plain = sized(phrase(making), low, high, making);
  if (!pattern || pattern.test(plain)) return plain;
  // Repetition is drawn anew each time, so that a length beside the pattern is often met.
  for (let attempt = 0; attempt < 50; attempt++) {
    spend(making);
    const drawn = matching(pattern.source, making.random);
    if (drawn !== null && fits(drawn) && pattern.test(drawn)) return drawn;
  }
  throw unsatisfiable(making, `no string was found for the pattern ${pattern.source}`);
}

function compiled(making: Making, pattern: unknown): RegExp | null {
  if (typeof pattern !== "string") return null;
  try {
    return new RegExp(pattern, "u");
  } catch {
    throw unsatisfiable(making, "its pattern is no regular expression");
  }
}

function phrase(making: Making): string {
  const count = making.random.int(1, 3);
  return Array.from({ length: count }, () => making.random.pick(making.words)).join(" ");
}

/** Lengths count code points, as JSON Schema does. */
function sized(text: string, low: number, high: number, making: Making): string {
  let grown = [...text];
  while (grown.length < low) grown = grown.concat([" "], [...phrase(making)]);
  return grown.slice(0, Math.max(low, Math.min(high, grown.length))).join("");
}

const formats: Record<string, (making: Making) => string> = {
  date: (making) => date(making),
  time: (making) => time(making),
  "date-time": (making) => `${date(making)}T${time(making)}`,
  duration: (making) => `P${making.random.int(1, 30)}D`,
  email: (making) => `user${making.random.int(1, 999)}@example.com`,
  "idn-email": (making) => `user${making.random.int(1, 999)}@example.com`,
  hostname: (making) => `host${making.random.int(1, 999)}.example.com`,
  "idn-hostname": (making) => `host${making.random.int(1, 999)}.example.com`,
  uri: (making) => `https://example.com/${making.random.hex(6)}`,
  url: (making) => `https://example.com/${making.random.hex(6)}`,
  iri: (making) => `https://example.com/${making.random.hex(6)}`,
  "uri-reference": (making) => `/${making.random.hex(6)}`,
  "iri-reference": (making) => `/${making.random.hex(6)}`,
  "uri-template": (making) => `/${making.random.hex(6)}/{id}`,
  uuid: ({ random }) => `${random.hex(8)}-${random.hex(4)}-4${random.hex(3)}-8${random.hex(3)}-${random.hex(12)}`,
  ipv4: (making) => `192.0.2.${making.random.int(1, 254)}`,
  ipv6: (making) => `2001:db8::${making.random.int(1, 9999)}`,
  regex: () => "^[a-z]+$",
  "json-pointer": (making) => `/${making.random.hex(4)}`,
  "relative-json-pointer": (making) => `0/${making.random.hex(4)}`,
};

function date({ random }: Making): string {
  return `${random.int(2000, 2029)}-${twoDigits(random.int(1, 12))}-${twoDigits(random.int(1, 28))}`;
}

function time({ random }: Making): string {
  return `${twoDigits(random.int(0, 23))}:${twoDigits(random.int(0, 59))}:${twoDigits(random.int(0, 59))}Z`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}
