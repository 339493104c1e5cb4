import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { projectRoot } from "../../src/local/project.ts";

const exec = promisify(execFile);
const tsc = (...args: string[]) => exec(join(projectRoot, "node_modules/.bin/tsc"), args, { cwd: projectRoot });

describe("the router's type in a project of its own", () => {
  it("compiles for a browser, and drags in no storage and no Worker types", async () => {
    await tsc("-p", "src/api/tsconfig.router.json");
    const { stdout } = await tsc("-p", "test/consumer", "--listFiles");
    const files = stdout.split("\n");
    expect(files.some((file) => file.endsWith("dist/types/api/trpc/router.d.ts"))).toBe(true);
    expect(files.filter((file) => /drizzle|workers-types|\/src\/|\/store\/|env\.d\.ts|hono/.test(file))).toEqual([]);
  });
});
