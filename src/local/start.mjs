// Plain JavaScript that any Node can read: it must still say something clear when nothing is installed yet.
import { existsSync } from "node:fs";

const needed = ["wrangler", "miniflare", "workerd"];
const installed = needed.every((name) =>
  existsSync(new URL(`../../node_modules/${name}/package.json`, import.meta.url)),
);
const major = Number(process.versions.node.split(".")[0]);

if (!installed) {
  console.error("Dependencies are missing: run npm ci first.");
  process.exitCode = 1;
} else if (major < 24) {
  console.error(
    `Node 24 is needed and this is ${process.versions.node}: run npm start, which brings its own (npm ci).`,
  );
  process.exitCode = 1;
} else {
  await import("./start.ts");
}
