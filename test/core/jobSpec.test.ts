import { describe, expect, it } from "vitest";
import { SubmitJobInput } from "../../src/contract/jobs.ts";
import { limits } from "../../src/contract/limits.ts";
import { fromCreateInput } from "../../src/core/completionRequest.ts";
import { AppError } from "../../src/core/errors.ts";
import { waitAfter, withLostAttempt } from "../../src/core/jobEnd.ts";
import type { RoundFacts } from "../../src/core/jobRun.ts";
import { type JobSpec, specOf, storedJson, termsOf } from "../../src/core/jobSpec.ts";
import { prepare } from "../../src/core/prepare.ts";
import type { Principal } from "../../src/core/principal.ts";
import { unlimited } from "../support/projects.ts";

const principal: Principal = {
  projectId: "prj_1",
  keyId: "key_1",
  kind: "secret",
  scopes: ["completions:run"],
  origins: [],
  keepContents: true,
  limits: unlimited(),
};

const input = (fields: object = {}) =>
  SubmitJobInput.parse({ model: "acme/m", messages: [{ role: "user", content: "Hi" }], ...fields });

async function aSpec(fields: object = {}): Promise<JobSpec> {
  const prepared = await prepare(
    {
      resolveTemplate: () => Promise.reject(new Error("no template")),
      routeModel: async (_, model) => ({
        upstream: "acme",
        simulated: false,
        shared: false,
        model: "wire-name",
        baseUrl: `https://secret.example/${model}`,
        apiKey: "sk-secret",
        headers: { "x-token": "secret-token" },
        reasoning: false,
        maxJobs: null,
        secrets: ["sk-secret"],
      }),
      timeouts: { headersMs: 1, firstTokenMs: null, idleMs: null, totalMs: 1, firstEventHoldMs: 1 },
    },
    principal,
    { ...fromCreateInput(input(fields)), stream: true },
  );
  return specOf(principal, prepared, termsOf(input(fields), 1_000));
}

describe("a job's spec", () => {
  it("holds models by the names they were asked for by, and nothing of the upstreams that serve them", async () => {
    const spec = await aSpec({ fallbacks: ["acme/other"] });
    expect(spec.models).toEqual(["acme/m", "acme/other"]);
    expect(JSON.stringify(spec)).not.toMatch(/secret|wire-name/);
  });

  it("counts its deadline from the time it may start", async () => {
    expect(await aSpec()).toMatchObject({ runAtMs: 1_000, deadlineAtMs: 1_000 + limits.jobDeadlineMs });
    expect(await aSpec({ delayMs: 500, deadlineMs: 200 })).toMatchObject({ runAtMs: 1_500, deadlineAtMs: 1_700 });
    expect(await aSpec({ runAt: "1970-01-01T00:00:09Z" })).toMatchObject({ runAtMs: 9_000 });
    expect(await aSpec({ runAt: "1969-01-01T00:00:00Z" })).toMatchObject({ runAtMs: 1_000 });
    await expect(aSpec({ runAt: "2099-01-01T00:00:00Z" })).rejects.toMatchObject({ param: "runAt" });
  });

  it("must fit a row", async () => {
    const content = "国".repeat(limits.maxJobSpecBytes / 3);
    const spec = await aSpec({ messages: [{ role: "user", content }] });
    expect(() => storedJson({ spec, request: null })).toThrow(expect.objectContaining({ code: "too_large" }));
  });
});

const facts = (fields: Partial<RoundFacts>): RoundFacts => ({
  status: "failed",
  error: null,
  answer: {
    model: null,
    malformed: false,
    usage: null,
    finishReason: null,
    begun: false,
  },
  attempts: [],
  candidate: { model: "m", upstream: null },
  headersMs: null,
  firstTokenMs: null,
  totalMs: 1,
  ...fields,
});
const limited = (retryAfterSeconds?: number) =>
  new AppError("rate_limited", "slow down", { ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) });

describe("a job that has failed", () => {
  it("waits out a limit, or the rest of an upstream, as long as its deadline allows", () => {
    expect(waitAfter(facts({ error: limited(120) }), 1e6)).toBe(120_000);
    expect(waitAfter(facts({ error: limited() }), 1e6)).toBeGreaterThan(0);
    expect(waitAfter(facts({ error: new AppError("unavailable", "rests", { retryAfterSeconds: 10 }) }), 1e6)).toBe(
      10_000,
    );
    expect(waitAfter(facts({ error: limited(120) }), 60_000)).toBeNull();
  });

  it("has failed for good otherwise, and once tokens have arrived", () => {
    for (const code of ["upstream_error", "invalid_request", "upstream_timeout", "internal"] as const)
      expect(waitAfter(facts({ error: new AppError(code, "no") }), 1e6)).toBeNull();
    const { answer } = facts({});
    expect(waitAfter(facts({ error: limited(1), answer: { ...answer, begun: true } }), 1e6)).toBeNull();
    expect(waitAfter(facts({ status: "cancelled" }), 1e6)).toBeNull();
  });

  it("is not tried for ever", () => {
    const attempt = {
      model: "m",
      upstream: "u",
      startedMs: 1,
      endedMs: 1,
      status: 429,
      error: "rate_limited",
    } as const;
    const attempts = Array.from({ length: limits.maxJobAttempts }, () => attempt);
    expect(waitAfter(facts({ error: limited(1), attempts }), 1e6)).toBeNull();
  });
});

it("notes an attempt that was lost, and leaves those before it", () => {
  const attempt = { model: "m", upstream: "u", startedMs: 5, endedMs: 5, status: null, error: null };
  expect(withLostAttempt([attempt, attempt], 9)).toEqual([attempt, { ...attempt, endedMs: 9, error: "unavailable" }]);
  expect(withLostAttempt([], 9)).toEqual([]);
});
