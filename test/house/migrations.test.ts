import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { missingMigration } from "../../src/local/migrationsInStep.ts";
import { projectRoot } from "../../src/local/project.ts";

it("has migrations that lead to the schema", async () => {
  expect(await missingMigration()).toBeNull();
});

it("notices a column without a migration", async () => {
  // Inside the project, so that the schema's own imports resolve.
  const root = await mkdtemp(join(projectRoot, "node_modules", ".weir-schema-"));
  try {
    await cp(join(projectRoot, "migrations"), join(root, "migrations"), { recursive: true });
    await cp(join(projectRoot, "src/store"), join(root, "src/store"), { recursive: true });
    const schema = join(root, "src/store/schema.ts");
    const text = await readFile(schema, "utf8");
    await writeFile(schema, text.replace("  name: text().notNull(),", "  name: text().notNull(),\n  motto: text(),"));
    expect(await missingMigration(root)).toContain("motto");
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
