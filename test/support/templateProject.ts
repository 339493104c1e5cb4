import { env } from "cloudflare:workers";
import {
  CreateTemplateInput,
  type LabelMove,
  MoveLabelInput,
  RenderTemplateInput,
  SaveTemplateInput,
  type VersionContent,
} from "../../src/contract/templates.ts";
import { TimedCache } from "../../src/core/cache.ts";
import { AppError } from "../../src/core/errors.ts";
import { newId } from "../../src/core/ids.ts";
import type { Principal } from "../../src/core/principal.ts";
import { sizeOfTemplate } from "../../src/core/templateResolve.ts";
import { templateUseCases } from "../../src/core/templates.ts";
import { database } from "../../src/store/db.ts";
import { templateStore } from "../../src/store/templates.ts";
import { meteredD1 } from "./meteredD1.ts";
import { unlimited } from "./projects.ts";

export function newPrincipal(): Principal {
  return {
    projectId: newId("prj"),
    keyId: newId("key"),
    kind: "secret",
    scopes: [],
    origins: [],
    keepContents: true,
    limits: unlimited(),
  };
}

/** A project of its own with the template use cases over a metered database, inputs as the door hands them over. */
export function templateProject() {
  const principal = newPrincipal();
  const metered = meteredD1(env.DB);
  const cache = new TimedCache({ sizeOf: sizeOfTemplate });
  const store = templateStore(database(metered));
  const use = templateUseCases({ ...store, cache, now: Date.now });
  const { projectId } = principal;
  return {
    principal,
    projectId,
    metered,
    store,
    use,
    /** The same project seen from another isolate. */
    elsewhere: templateUseCases({ ...templateStore(database(env.DB)), cache: new TimedCache(), now: Date.now }),
    create: (name: string, content: VersionContent) =>
      use.create(principal, CreateTemplateInput.parse({ name, content })),
    save: (name: string, content: VersionContent, rest: object = {}) =>
      use.save(principal, SaveTemplateInput.parse({ name, content, ...rest })),
    move: (name: string, label: string, version: number, rest: object = {}): Promise<LabelMove> =>
      use.label(principal, MoveLabelInput.parse({ name, label, version, ...rest })),
    render: (input: object) => use.render(principal, RenderTemplateInput.parse(input)),
    history: async (name: string, label?: string) =>
      (await use.labelHistory(principal, { name, label, limit: 100 })).items,
  };
}

/** The AppError that the promise is rejected with. */
export async function refusal(promise: Promise<unknown>): Promise<AppError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error("was not refused");
}

/** Contents of one user message. */
export const chat = (text: string): VersionContent => ({ messages: [{ role: "user", content: text }] });
