import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { projectRoot } from "../../src/local/project.ts";
import { barrels, emptyNames, importsOf, type Source, wrongArrows } from "./arrows.ts";

const maxLines = 300;

async function sourcesUnder(folder: string): Promise<Source[]> {
  const entries = await readdir(join(projectRoot, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && /\.(ts|tsx|mjs)$/.test(entry.name));
  return Promise.all(
    files.map(async (entry) => {
      const full = join(entry.parentPath, entry.name);
      return { path: full.slice(projectRoot.length).replaceAll("\\", "/"), text: await readFile(full, "utf8") };
    }),
  );
}

const src = await sourcesUnder("src");
const test = await sourcesUnder("test");

describe("the house", () => {
  it("has imports that point one way", () => {
    expect(src.length).toBeGreaterThan(20);
    expect(wrongArrows(src)).toEqual([]);
  });

  it("has no file named for nothing in particular", () => {
    expect(emptyNames([...src, ...test].map(({ path }) => path))).toEqual([]);
  });

  it("has no barrel", () => {
    expect(barrels(src)).toEqual([]);
  });

  it(`has no file over ${maxLines} lines`, () => {
    const long = [...src, ...test].filter(({ text }) => text.trimEnd().split("\n").length > maxLines);
    expect(long.map(({ path }) => path)).toEqual([]);
  });
});

describe("the check of imports", () => {
  const arrows = (path: string, text: string) => wrongArrows([{ path, text }]);

  it.each([
    ["src/contract/a.ts", 'import { x } from "../core/a.ts";'],
    ["src/contract/a.ts", 'import { Hono } from "hono";'],
    ["src/core/a.ts", 'import type { Env } from "../env.ts";'],
    ["src/core/a.ts", 'import { drizzle } from "drizzle-orm/d1";'],
    ["src/core/a.ts", 'import { readFile } from "node:fs";'],
    ["src/store/a.ts", 'import { x } from "../upstream/a.ts";'],
    ["src/upstream/a.ts", 'export { x } from "../store/a.ts";'],
    ["src/store/a.ts", 'import "../api/a.ts";'],
    ["src/core/a.ts", 'import { DurableObject } from "cloudflare:workers";'],
    ["src/durable/a.ts", 'import { x } from "../api/a.ts";'],
    ["src/durable/a.ts", 'import { sql } from "drizzle-orm";'],
    ["src/store/a.ts", 'import type { X } from "../durable/a.ts";'],
    ["src/app.ts", 'import { x } from "./durable/a.ts";'],
    ["src/api/trpc/a.ts", 'import {\n  x,\n  y,\n} from "../openai/error.ts";'],
    ["src/api/openai/a.ts", 'import { x } from "../hooks.ts";'],
    ["src/api/openai/a.ts", 'const x = await import("../trpc/a.ts");'],
    ["src/app.ts", 'import { x } from "./store/a.ts";'],
    ["src/index.ts", 'import { x } from "./api/a.ts";'],
    ["src/local/a.ts", 'import { x } from "../store/runs.ts";'],
    ["src/local/a.ts", 'import { sql } from "drizzle-orm";'],
    ["src/api/a.ts", 'import { x } from "../local/a.ts";'],
    ["src/core/a.ts", 'import { x } from "./b";'],
    ["src/core/a.ts", 'import { x } from "../../test/support/b.ts";'],
    ["src/shed/a.ts", 'import { x } from "./b.ts";'],
  ])("catches a wrong arrow in %s: %s", (path, text) => {
    expect(arrows(path, text)).toHaveLength(1);
  });

  it.each([
    ["src/core/a.ts", 'import type { X } from "../contract/x.ts";'],
    ["src/store/a.ts", 'import { sql } from "drizzle-orm";\nimport { x } from "drizzle-orm/sqlite-core";'],
    ["src/api/trpc/a.ts", 'import { router } from "./init.ts";\nimport { x } from "../context.ts";'],
    ["src/api/openai/a.ts", 'import { x } from "./error.ts";\nimport { y } from "../body.ts";'],
    ["src/api/context.ts", 'import { x } from "../store/a.ts";\nimport { y } from "../upstream/b.ts";'],
    ["src/local/a.ts", 'import { join } from "node:path";'],
    ["src/local/a.ts", 'import { x } from "../store/projects.ts";'],
  ])("lets a right one pass in %s", (path, text) => {
    expect(arrows(path, text)).toEqual([]);
  });

  it("reads every form of import and no text that only looks like one", () => {
    const text = 'import a from "a";\nimport "b";\nexport * from "c";\nconst d = import("d");\nconst e = "from \'e\'";';
    expect(importsOf(text).sort()).toEqual(["a", "b", "c", "d"]);
  });

  it("knows a barrel and an empty name", () => {
    expect(barrels([{ path: "a", text: '// all\nexport * from "./b.ts";\nexport { c } from "./c.ts";\n' }])).toEqual([
      "a",
    ]);
    expect(barrels([{ path: "a", text: 'export { c } from "./c.ts";\nexport const d = 1;\n' }])).toEqual([]);
    expect(emptyNames(["src/core/utils.ts", "src/helpers/a.ts", "src/core/render.ts"])).toHaveLength(2);
  });
});
