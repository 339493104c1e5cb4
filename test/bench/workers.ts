import type { WorkerBeside } from "../../src/local/runtime.ts";

/** The yardstick: what a Worker costs that only returns the upstream's body. */
export function passThrough(upstreamUrl: string): WorkerBeside {
  return besides("bare", upstreamUrl, "return new Response(upstream.body, upstream);");
}

/** The least that a Worker can do which is to see each chunk before the client does: it reads one and writes it. */
export function pump(upstreamUrl: string): WorkerBeside {
  return besides(
    "pump",
    upstreamUrl,
    `const { readable, writable } = new IdentityTransformStream();
    const relay = async () => {
      const reader = upstream.body.getReader();
      const writer = writable.getWriter();
      for (let next = await reader.read(); !next.done; next = await reader.read()) await writer.write(next.value);
      await writer.close();
    };
    context.waitUntil(relay());
    return new Response(readable, upstream);`,
  );
}

function besides(name: string, upstreamUrl: string, answer: string): WorkerBeside {
  const code = `export default {
  async fetch(request, env, context) {
    const upstream = await fetch(env.UPSTREAM_URL, request);
    ${answer}
  },
};`;
  return { name, modules: { [`${name}.mjs`]: code }, bindings: { UPSTREAM_URL: `${upstreamUrl}/chat/completions` } };
}

/**
 * The same bundle, its writes to D1 answered at once and unwritten: what is missing from its cost is D1's part.
 * Reads (the key) pass.
 */
export function withoutWrites(bundle: string, bindings: Record<string, string>): WorkerBeside {
  const code = `import weir from "./weir.mjs";

const result = { success: true, results: [], meta: { changes: 0 } };
const unwritten = { bind: () => unwritten, run: async () => result, all: async () => result, raw: async () => [], first: async () => null };
let without;

function withoutWrites(env) {
  const prepare = (sql) => (/^\\s*select/i.test(sql) ? env.DB.prepare(sql) : unwritten);
  return { ...env, DB: { prepare, batch: async (statements) => statements.map(() => result) } };
}

export default {
  fetch(request, env, context) {
    without ??= withoutWrites(env);
    return weir.fetch(request, without, context);
  },
};`;
  return { name: "unwritten", modules: { "unwritten.mjs": code, "weir.mjs": bundle }, bindings };
}
