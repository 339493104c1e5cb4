import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
it("has a migrated database", async () => {
  const r = await env.DB.prepare("select count(*) n from runs").first();
  expect(r).toEqual({ n: 0 });
});
