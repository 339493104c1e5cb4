import { beforeAll, describe, expect, it } from "vitest";
import { Scope } from "../../src/contract/scopes.ts";
import { callProcedure, declaredProcedures } from "../support/door.ts";
import { insertTestKey, insertTestProject, type TestKey } from "../support/projects.ts";

/** Procedures that have nothing to be told. */
const withoutInput = ["models.list"];

let project: TestKey;

beforeAll(async () => {
  project = await insertTestProject();
});

it("finds the procedures", () => {
  expect(declaredProcedures.length).toBeGreaterThan(20);
});

describe.each(declaredProcedures)("$path", (procedure) => {
  const { path, scope } = procedure;

  it("declares its scope and the schemas of what goes in and comes out", () => {
    expect(Scope.options).toContain(scope);
    expect(procedure.output).toBeDefined();
    expect(procedure.inputs.length > 0).toBe(!withoutInput.includes(path));
  });

  it("is closed without a key", async () => {
    const answer = await callProcedure(procedure);
    expect(answer.status).toBe(401);
    expect(answer.body).toMatchObject({ error: { data: { weir: { code: "unauthenticated", param: null } } } });
  });

  it("is closed to a key that has every scope but its own, whatever the input", async () => {
    const scopes = Scope.options.filter((other) => other !== scope);
    const key = await insertTestKey(project.principal.projectId, { scopes });
    for (const input of [undefined, { id: "key_1" }, "nonsense"]) {
      const answer = await callProcedure(procedure, { secret: key.secret, input });
      expect(answer.status).toBe(403);
      expect(answer.body).toMatchObject({ error: { data: { weir: { code: "forbidden", details: { scope } } } } });
    }
  });

  it("is open to a key that has its scope alone", async () => {
    const key = await insertTestKey(project.principal.projectId, { scopes: scope ? [scope] : [] });
    const answer = await callProcedure(procedure, { secret: key.secret });
    expect([200, 400]).toContain(answer.status);
  });
});
