// Plain JavaScript that any Node can read: it must still say something clear when nothing is installed yet.
import { existsSync } from "node:fs";

const [name = "start"] = process.argv.splice(2, 1);
const commands = {
  start: () => import("./start.ts"),
  bootstrap: () => import("./bootstrap.ts"),
  deploy: () => import("./deploy.ts"),
  checkMigrations: () => import("./checkMigrations.ts"),
};

const needed = ["drizzle-kit", "drizzle-orm", "miniflare", "workerd", "wrangler", "zod"];
const installed = needed.every((name) =>
  existsSync(new URL(`../../node_modules/${name}/package.json`, import.meta.url)),
);
const { node } = process.versions;

function refuse(line) {
  console.error(line);
  process.exitCode = 1;
}

if (!Object.hasOwn(commands, name))
  refuse(`npm start takes no arguments, only variables of the environment: not ${name}.`);
else if (!installed) refuse("Dependencies are missing: run npm ci first.");
else if (Number.parseInt(node, 10) < 24)
  refuse(`Node 24 is needed and this is ${node}: npm ci brings its own for npm start and the other scripts.`);
else await commands[name]();
