import { Scope } from "../contract/scopes.ts";
import { newId } from "../core/ids.ts";
import { issueKey, type OwnedKey, unaskedRate } from "../core/keys.ts";
import { database } from "../store/db.ts";
import { type NamedProject, openProjectQueries } from "../store/projects.ts";
import { inlined } from "./inlineSql.ts";

/** A project by its name, made when there is none of that name. */
export function namedProject(name: string, settings: NamedProject["settings"] = {}): NamedProject {
  const createdAtMs = Date.now();
  return { id: newId("prj", createdAtMs), name, createdAtMs, settings };
}

/** A new secret key with all scopes: the key itself and what stores it. */
export async function newSecretKey(name: string): Promise<{ secret: string; owned: OwnedKey }> {
  return issue({ kind: "secret", name, scopes: [...Scope.options], origins: [] });
}

/** A new publishable key for pages of these origins. */
export async function newPublishableKey(
  name: string,
  origins: readonly string[],
): Promise<{ secret: string; owned: OwnedKey }> {
  return issue({ kind: "publishable", name, scopes: ["completions:run"], origins: [...origins] });
}

type Wanted = Pick<Parameters<typeof issueKey>[0], "kind" | "name" | "scopes" | "origins">;

async function issue(wanted: Wanted): Promise<{ secret: string; owned: OwnedKey }> {
  const { owned, shown } = await issueKey({
    ...wanted,
    createdAtMs: Date.now(),
    expiresAtMs: null,
    rotatedFrom: null,
    requestsPerMinute: unaskedRate(wanted.kind),
    tokensPerDay: null,
    costPerDay: null,
  });
  return { secret: shown.secret, owned };
}

/** SQL that makes the project and its keys, for a database that only a command line reaches. */
export function openProjectSql(project: NamedProject, keys: readonly OwnedKey[]): string {
  // No database behind it: its queries are turned into text, never run.
  const unconnected = database({} as Parameters<typeof database>[0]);
  return openProjectQueries(unconnected, project, keys)
    .map((query) => `${inlined(query.toSQL())};`)
    .join("\n");
}
