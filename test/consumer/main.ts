import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./example.ts";

const file = join(process.env["WEIR_STATE_DIR"] ?? ".weir", "local.json");
const { url, secretKey } = JSON.parse(await readFile(file, "utf8")) as { url: string; secretKey: string };
for (const line of await run(url, secretKey)) console.log(line);
