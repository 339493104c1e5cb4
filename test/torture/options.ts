import { parseArgs } from "node:util";
import { StartError } from "../../src/local/project.ts";

export type Options = { seed: number; jobs: number; events: number; kills: number; short: boolean };

const usage = "Usage: npm run torture -- [--short] [--seed N] [--jobs N] [--events N] [--kills N]";

/** Throws a StartError that says how it is used. */
export function readOptions(args: string[]): Options {
  const number = (name: string, text: string | undefined, otherwise: number) => {
    const value = Number(text ?? otherwise);
    if (!Number.isSafeInteger(value) || value < 0) throw new StartError(`--${name} must be a whole number.\n${usage}`);
    return value;
  };
  try {
    const { values } = parseArgs({
      args,
      options: {
        short: { type: "boolean" },
        seed: { type: "string" },
        jobs: { type: "string" },
        events: { type: "string" },
        kills: { type: "string" },
      },
    });
    const short = values.short === true;
    return {
      short,
      seed: number("seed", values.seed, Math.floor(Math.random() * 2 ** 31)),
      jobs: number("jobs", values.jobs, short ? 200 : 2_000),
      events: number("events", values.events, short ? 60 : 1_000),
      kills: number("kills", values.kills, short ? 5 : 50),
    };
  } catch (thrown) {
    if (thrown instanceof StartError) throw thrown;
    throw new StartError(`${thrown instanceof Error ? thrown.message : String(thrown)}\n${usage}`);
  }
}
