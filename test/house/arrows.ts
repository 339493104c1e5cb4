import { dirname, join } from "node:path/posix";

/** A source file: its path from the project's root, with forward slashes, and its text. */
export type Source = { path: string; text: string };

type Rule = {
  /** Rooms (the first folder under src, or a file there) it may import from, its own included. */
  rooms: readonly string[];
  /** Single files of other rooms that it may import too. */
  files?: readonly string[];
  /** Packages, by name or by `scope/*`; `node:` stands for Node's own modules. */
  packages: readonly string[];
};

/**
 * Which way imports point: contract ← core ← {store, upstream} ← durable ← api ← app ← index, and {core, a part of store} ← local.
 * A room without a row fails.
 */
const rules: Record<string, Rule> = {
  contract: { rooms: ["contract"], packages: ["zod"] },
  core: {
    rooms: ["contract", "core"],
    // Pure libraries: no I/O, no platform.
    packages: [
      "zod",
      "mustache",
      "diff",
      "ulidx",
      "@cfworker/json-schema",
      "@jmespath-community/jmespath",
      "eventsource-parser",
      "safe-regex2",
      "node:zlib",
    ],
  },
  store: { rooms: ["contract", "core", "store"], packages: ["drizzle-orm", "zod", "@cloudflare/workers-types"] },
  upstream: { rooms: ["contract", "core", "upstream"], packages: ["eventsource-parser", "zod"] },
  env: { rooms: ["contract"], packages: ["zod"] },
  log: { rooms: ["core"], packages: [] },
  durable: {
    rooms: ["contract", "core", "store", "upstream", "env", "log", "durable"],
    packages: ["cloudflare:workers", "zod"],
  },
  api: {
    // The classes of Durable Objects are named here as types only.
    rooms: ["contract", "core", "store", "upstream", "env", "log", "durable", "api"],
    packages: ["hono", "@trpc/server", "zod"],
  },
  // Published: it runs where receivers run, with a part of core that does too.
  client: { rooms: ["contract", "client"], files: ["src/core/standardWebhooks.ts"], packages: [] },
  app: { rooms: ["contract", "core", "env", "log", "api"], packages: ["hono"] },
  index: { rooms: ["env", "app", "durable"], packages: [] },
  local: {
    rooms: ["contract", "core", "local"],
    // The first project and its keys are written with the store's own statements.
    files: ["db", "keys", "projects", "schema"].map((feature) => `src/store/${feature}.ts`),
    packages: ["node:", "zod", "eventsource-parser", "miniflare", "wrangler"],
  },
};

/** Doors are siblings: none imports another, whatever they share lies beside them in api/. */
const doors = ["trpc/", "openai/", "hooks.ts"];

const importForms = [
  /^\s*(?:import|export)\s[^"';]*?\sfrom\s*["']([^"']+)["']/gm,
  /^\s*import\s*["']([^"']+)["']/gm,
  /\bimport\(\s*["']([^"']+)["']\s*\)/g,
];

/** Every module that the text names in an import or a re-export, static or dynamic. */
export function importsOf(text: string): string[] {
  return importForms.flatMap((form) => [...text.matchAll(form)].map((match) => match[1] ?? ""));
}

/** One line for each import that points the wrong way. */
export function wrongArrows(sources: readonly Source[]): string[] {
  return sources.flatMap((source) =>
    importsOf(source.text).flatMap((name) => {
      const why = fault(source.path, name);
      return why ? [`${source.path} imports ${name}: ${why}`] : [];
    }),
  );
}

function fault(path: string, name: string): string | null {
  const room = roomOf(path);
  const rule = rules[room];
  if (!rule) return `the room ${room} has no rule`;
  if (!name.startsWith(".")) {
    const allowed = rule.packages.some((entry) => name === entry || name.startsWith(slashed(entry)));
    return allowed ? null : `${room} may not use this package`;
  }
  const target = join(dirname(path), name);
  if (!/\.(ts|tsx|mjs)$/.test(target)) return "the extension is missing";
  if (!target.startsWith("src/")) return "it lies outside src";
  if (rule.files?.includes(target)) return null;
  if (!rule.rooms.includes(roomOf(target))) return `${room} may not import ${roomOf(target)}`;
  if (room === "api" && roomOf(target) === "api") {
    const [from, to] = [doorOf(path), doorOf(target)];
    if (from && to && from !== to) return "a door may not import a sibling door";
  }
  return null;
}

const slashed = (entry: string) => (entry.endsWith(":") ? entry : `${entry}/`);
const roomOf = (path: string) => (path.split("/")[1] ?? "").replace(/\.(ts|tsx)$/, "");
const doorOf = (path: string) => doors.find((door) => path.startsWith(`src/api/${door}`));

/** Names that say nothing about what is inside. */
export function emptyNames(paths: readonly string[]): string[] {
  return paths.filter((path) =>
    path.split("/").some((part) => /^(utils?|helpers?|misc|common|manager)(\.|$)/i.test(part)),
  );
}

/** Files that only pass on what others export. */
export function barrels(sources: readonly Source[]): string[] {
  return sources
    .filter(({ text }) => {
      const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "").trim();
      const rest = code.replace(/export\s+(?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})\s*from\s*["'][^"']+["'];?/g, "");
      return code !== "" && rest.trim() === "";
    })
    .map(({ path }) => path);
}
