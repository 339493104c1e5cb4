import { fileURLToPath } from "node:url";

/** The folder that holds package.json and wrangler.toml. */
export const projectRoot = fileURLToPath(new URL("../../", import.meta.url));

/** A failure that its reader can mend: shown as one line, without a stack. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** What to print for a failure: one line for a foreseen one, the stack for a fault of ours. */
export function failureText(thrown: unknown): string {
  if (thrown instanceof StartError) return thrown.message;
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}

/** Runs a command's `main`, turning a failure into one line on stderr and exit code 1. */
export async function runMain(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (thrown) {
    console.error(failureText(thrown));
    process.exitCode = 1;
  }
}
