import { type ParseArgsConfig, parseArgs } from "node:util";
import { StartError } from "./project.ts";

/** The options a command was given; an unknown one is refused in one line that shows the right use. */
export function commandOptions<Options extends NonNullable<ParseArgsConfig["options"]>>(
  usage: string,
  options: Options,
) {
  try {
    return parseArgs({ options, strict: true, allowPositionals: false }).values;
  } catch (thrown) {
    throw new StartError(`${thrown instanceof Error ? thrown.message : String(thrown)}\nUsage: ${usage}`);
  }
}
