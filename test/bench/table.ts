import { digits, type Row, type Section } from "./figures.ts";

/** A section as lines of text: columns aligned, each goal beside its figure, with `ok` or `OVER`. */
export function table({ title, method, columns, rows }: Section): string {
  const head = ["", ...columns, "compared", "goal", ""];
  const lines = [head, ...rows.map(cells)];
  const widths = head.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  const aligned = lines.map((line) =>
    line
      .map((cell, at) =>
        at >= 1 && at <= columns.length ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
  return [title, `  ${method}`, ...aligned.map((line) => `  ${line}`)].join("\n");
}

function cells({ figure, unit, values, compared = "", goal = "", ok }: Row): string[] {
  const verdict = ok === undefined ? "" : ok ? "ok" : "OVER";
  return [
    `${figure}, ${unit}`,
    ...values.map((value) => (value === null ? "" : digits(value))),
    compared,
    goal,
    verdict,
  ];
}
