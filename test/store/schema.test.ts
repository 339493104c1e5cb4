import { env } from "cloudflare:workers";
import { expect, it } from "vitest";

it("has the project's id in every table but the projects' own, the search index and the sweeper's place in all of them", async () => {
  const { results } = await env.DB.prepare(
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'run_search%' AND name NOT LIKE 'sqlite%'
       AND name NOT GLOB '_cf_*' AND name NOT IN ('projects', 'sweeps', 'd1_migrations')`,
  ).all<{ name: string }>();
  expect(results.length).toBeGreaterThanOrEqual(9);
  for (const { name } of results) {
    const columns = await env.DB.prepare("SELECT name FROM pragma_table_info(?)").bind(name).all<{ name: string }>();
    expect(columns.results, name).toContainEqual({ name: "project_id" });
  }
});
