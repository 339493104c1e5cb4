import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { projectRoot } from "../../src/local/project.ts";

/** The numbered faults that are proven: of upstreams and streams, of the database, of jobs, of webhooks, of what callers send, of deployments. */
const numbers = range(1, 40);

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

it("every numbered fault has tests under its number", async () => {
  const folder = join(projectRoot, "test");
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"));
  const texts = await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name), "utf8")));
  const proven = new Set<number>();
  for (const text of texts) {
    // A suite's name: of `describe`, or of what `describe.each` returns.
    for (const [, name = ""] of text.matchAll(/(?<!\bit)\(\s*["`](fault \d+[^"`]*)["`]/g))
      for (const [, number] of name.matchAll(/fault (\d+)/g)) proven.add(Number(number));
  }
  expect(numbers.filter((number) => !proven.has(number))).toEqual([]);
});
