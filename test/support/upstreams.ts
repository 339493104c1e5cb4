import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { Upstream } from "../../src/contract/upstreams.ts";
import type { Env } from "../../src/env.ts";
import { callWeir } from "./call.ts";
import { insertTestProject } from "./projects.ts";

/** What tRPC answers with. */
export type UpstreamAnswer = {
  status: number;
  text: string;
  data: unknown;
  error: { message: string; data: { weir: { code: string; param: string | null } } } | undefined;
};

/** A new project and its calls of `upstreams.*`. */
export async function upstreamProject(bindings: Partial<Env> = {}) {
  const { secret, principal } = await insertTestProject();

  /** Any procedure of the router, whatever it answers. */
  async function answerOf(procedure: string, input: unknown, more: Partial<Env> = {}): Promise<UpstreamAnswer> {
    const query = `?input=${encodeURIComponent(JSON.stringify(input))}`;
    const { response, settled } = procedure.endsWith(".list")
      ? await callWeir(`/trpc/${procedure}${query}`, { secret, env: { ...bindings, ...more } })
      : await callWeir(`/trpc/${procedure}`, { secret, body: input, env: { ...bindings, ...more } });
    const text = await response.text();
    await settled();
    const { result, error } = JSON.parse(text);
    return { status: response.status, text, data: result?.data, error };
  }

  async function done<Data>(procedure: string, input: unknown, more?: Partial<Env>): Promise<Data> {
    const { status, text, data } = await answerOf(procedure, input, more);
    expect(status, text).toBe(200);
    return data as Data;
  }

  return {
    secret,
    projectId: principal.projectId,
    answerOf,
    done,
    create: (input: Record<string, unknown>) =>
      done<Upstream>("upstreams.create", { name: "acme", baseUrl: "https://acme.test/v1", ...input }),
    /** The error that the procedure answers with. */
    async refusal(procedure: string, input: unknown, more?: Partial<Env>) {
      const { error } = await answerOf(procedure, input, more);
      return { message: error?.message, ...error?.data.weir };
    },
    /** The upstream's row as D1 holds it. */
    row: (id: string) => env.DB.prepare("SELECT * FROM upstreams WHERE id = ?").bind(id).first(),
  };
}
