import type { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { callWeir } from "../support/call.ts";

describe("health", () => {
  it("answers /healthz without a key", async () => {
    expect((await callWeir("/healthz")).response.status).toBe(200);
  });

  it("is ready with a migrated database and an upstream", async () => {
    expect((await callWeir("/readyz")).response.status).toBe(200);
  });

  it("names what is missing otherwise", async () => {
    const bare = await callWeir("/readyz", { env: { UPSTREAM_BASE_URL: "", SIMULATOR: "off" } });
    expect(bare.response.status).toBe(503);
    expect(await bare.response.json()).toMatchObject({ missing: [expect.stringContaining("UPSTREAM_BASE_URL")] });
    const wrong = await callWeir("/readyz", { env: { UPSTREAM_IDLE_TIMEOUT_MS: "soon" } });
    expect(await wrong.response.json()).toMatchObject({
      missing: [expect.stringContaining("UPSTREAM_IDLE_TIMEOUT_MS")],
    });
    const failing = { prepare: () => ({ first: async () => Promise.reject(new Error("no such table")) }) };
    const unmigrated = await callWeir("/readyz", { env: { DB: failing as unknown as typeof env.DB } });
    expect(await unmigrated.response.json()).toMatchObject({ missing: [expect.stringContaining("migrations")] });
  });
});

describe("/openapi.json", () => {
  it("describes the HTTP doors from the schemas that check them", async () => {
    const document = (await (await callWeir("/openapi.json")).response.json()) as {
      paths: Record<
        string,
        Record<
          string,
          {
            requestBody?: { content: Record<string, { schema: { properties: object } }> };
            responses: Record<string, { content: Record<string, { schema: { properties: object } }> }>;
            security?: unknown[];
          }
        >
      >;
    };
    expect(Object.keys(document.paths)).toEqual([
      "/v1/chat/completions",
      "/v1/runs/{id}",
      "/v1/runs/{id}/events",
      "/v1/runs/{id}/cancel",
      "/hooks/{triggerId}",
      "/v1/models",
      "/v1/models/{id}",
      "/healthz",
      "/readyz",
    ]);
    const body = document.paths["/v1/chat/completions"]?.["post"]?.requestBody?.content["application/json"]?.schema;
    expect(body?.properties).toMatchObject({ temperature: { minimum: 0, maximum: 2 }, prompt: expect.any(Object) });
    expect(body?.properties).toMatchObject({ background: { type: "boolean" }, delay_ms: { type: "integer" } });
    expect(body?.properties).not.toHaveProperty("n");
    const hook = document.paths["/hooks/{triggerId}"]?.["post"];
    expect(hook).toMatchObject({ security: [], parameters: [{ name: "triggerId", in: "path", required: true }] });
    expect(Object.keys(hook?.responses ?? {})).toEqual(expect.arrayContaining(["200", "202", "401", "413", "429"]));
    for (const status of ["200", "202"]) {
      const answer = hook?.responses[status]?.content["application/json"]?.schema;
      expect(Object.keys(answer?.properties ?? {})).toEqual(["eventId", "runId", "status", "duplicate", "result"]);
    }
    for (const path of ["/healthz", "/readyz", "/openapi.json"])
      expect((await callWeir(path)).response.headers.get("content-type")).toContain("application/json");
  });
});
