import { parseArgs } from "node:util";
import { StartError } from "../../src/local/project.ts";

export type Options<Name extends string> = { short: boolean; only: Name[] };

/** `--short`, `--only paced,burst`; throws a StartError that names what is possible. */
export function readOptions<Name extends string>(args: string[], names: readonly Name[]): Options<Name> {
  try {
    const { values } = parseArgs({ args, options: { short: { type: "boolean" }, only: { type: "string" } } });
    const only = values.only?.split(",") ?? names;
    const unknown = only.find((name) => !names.some((known) => known === name));
    if (unknown !== undefined) throw new Error(`There is no scenario ${JSON.stringify(unknown)}.`);
    return { short: values.short === true, only: names.filter((name) => only.includes(name)) };
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new StartError(`${why}\nUsage: npm run bench -- [--short] [--only ${names.join(",")}]`);
  }
}
