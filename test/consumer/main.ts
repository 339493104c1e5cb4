import { readFile } from "node:fs/promises";
import { join } from "node:path";

const file = join(process.env["WEIR_STATE_DIR"] ?? ".weir", "local.json");
const text = await readFile(file, "utf8").catch(() => null);
if (text === null) {
  console.error(`There is no ${file}: run npm start first, and leave it running.`);
  process.exit(1);
}
const { url, secretKey } = JSON.parse(text) as { url: string; secretKey: string };
if (process.argv[2] === "github") {
  const { runGithub } = await import("./github.ts");
  await runGithub({ url, key: secretKey, model: process.env["MODEL"] ?? "sim/echo", print: console.log });
} else {
  const { run } = await import("./example.ts");
  for (const line of await run(url, secretKey)) console.log(line);
}
