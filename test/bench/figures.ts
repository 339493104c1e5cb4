/** The value below which the share `p` of the values lies; NaN of none. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

/** A line of a table; a value per column, null where there is none. */
export type Row = {
  figure: string;
  unit: string;
  values: (number | null)[];
  /** What the goal is about, as text, with its goal. */
  compared?: string;
  goal?: string;
  ok?: boolean;
};

/** One scenario's results. */
export type Section = { title: string; method: string; columns: string[]; rows: Row[] };

type Compared = Required<Pick<Row, "compared" | "goal" | "ok">>;

/** `value / base`, wanted to be at most so much; `rounds` are the same ratio in each round. */
export function ratioAtMost(value: number, base: number, bound: number, rounds: number[] = []): Compared {
  return { compared: ratio(value / base, rounds), goal: `≤ ${bound} ×`, ok: value / base <= bound };
}

export function ratioAtLeast(value: number, base: number, bound: number, rounds: number[] = []): Compared {
  return { compared: ratio(value / base, rounds), goal: `≥ ${bound} ×`, ok: value / base >= bound };
}

/** `value - base`, wanted to be at most so much. */
export function moreByAtMost(value: number, base: number, bound: number, unit: string): Compared {
  const more = value - base;
  return {
    compared: `${more < 0 ? "−" : "+"}${digits(Math.abs(more))} ${unit}`,
    goal: `≤ +${bound} ${unit}`,
    ok: more <= bound,
  };
}

export function ratio(value: number, rounds: number[] = []): string {
  const spread = rounds.length > 1 ? ` (${Math.min(...rounds).toFixed(2)}–${Math.max(...rounds).toFixed(2)})` : "";
  return `${value.toFixed(2)} ×${spread}`;
}

export function digits(value: number): string {
  const decimals = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(decimals);
}
